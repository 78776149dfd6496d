/**
 * Documents → report.html: one file that holds everything, opens from a disk and asks nothing of any network. The text
 * and the tables are there without JavaScript; with it, the map, the live charts and planning anew.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { cpus, type } from "node:os";
import { entryPoint } from "../../entry.ts";
import { renderRecipeSh } from "../../plan/recipe-sh.ts";
import { gotInWords } from "../../run/gates.ts";
import type { Chart } from "../charts/chart.ts";
import { hasMetric, METRIC_NAMES, PARETO_METRICS } from "../charts/pareto.ts";
import { CHARTS, chartEntry } from "../charts/registry.ts";
import { renderSvg } from "../charts/render-svg.ts";
import { choicesOf } from "../family-choices.ts";
import { stoppedInWords } from "../stopped-words.ts";
import { renderChoices } from "./choices.ts";
import { modelName, renderHeading } from "./heading.ts";
import { embedJson, html, type Markup } from "./markup.ts";
import { renderProvenance } from "./provenance.ts";
import { type ReportData, type ReportDocuments, type ReviewedFile, reportData } from "./report-data.ts";
import { renderRunTable, renderScores, renderTable } from "./tables.ts";
import { renderWorkbench } from "./workbench.ts";

export interface ReportOptions {
  /** The page is served and may save the plan to this file (prism review). */
  readonly review?: ReviewedFile;
  /** Say which machine made it. */
  readonly machine?: boolean | undefined;
}

/** Render a report of any of the documents, at least one. About 1 MB, most of it the page's program. */
export function renderReport(documents: ReportDocuments, { review, machine }: ReportOptions = {}): string {
  const script = readPage("page.js");
  const style = readPage("page.css");
  const data = reportData(documents, review);
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    // echarts and the map set styles on elements; there is nothing a style could load
    "style-src 'unsafe-inline'",
    "img-src data: blob:",
    ...(review === undefined ? [] : ["connect-src 'self'"]),
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!doctype html>
${
  html`<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="PRISM ${data.prismVersion}">
<title>${modelName(documents)} · PRISM</title>
<style>${{ html: style }}</style></head>
<body>${renderBody(documents, data, machine ? machineInWords() : undefined)}
<script type="application/json" id="report-data">${embedJson(data)}</script>
<script>${{ html: script }}</script>
</body></html>`.html
}
`;
}

function machineInWords(): string {
  return `${type()} ${process.arch}, ${cpus()[0]?.model.trim() ?? "unknown processor"}`;
}

function renderBody(documents: ReportDocuments, data: ReportData, machine: string | undefined): Markup {
  const { run, plan, analysis, ranking } = documents;
  const own = CHARTS.flatMap((entry) => {
    const chart = entry.section?.own ? entry.draw(documents, {}) : undefined;
    return chart === undefined ? [] : [{ ...entry, chart }];
  });
  const planned = plan !== undefined;
  return html`<header class="bar"><span class="brand">PRISM</span><nav aria-label="Sections">${run && choicesOf(run).length > 0 ? link("choose", "Which one") : undefined}${run ? link("results", "Results") : undefined}${ranking ? link("scores", "Scores") : undefined}${planned || analysis ? link("map", "Map") : undefined}${own.flatMap(({ id, section }) => (section?.link === undefined ? [] : [link(id, section.link)]))}${planned ? link("recipe", "Recipe") : undefined}${link("provenance", "Provenance")}</nav><button type="button" id="theme" aria-label="Dark theme" aria-pressed="false"><span aria-hidden="true">◐</span></button></header>
<main>
${renderHeading(documents)}
${run ? renderResults(run) : undefined}
${ranking ? renderScores(ranking) : undefined}
${planned || analysis ? renderWorkbench({ planned, ...data.review }) : undefined}
${own.map(({ id, chart }) => renderFigureSection(id, chart))}
${plan ? renderRecipeSection(renderRecipeSh(plan)) : undefined}
${renderProvenance(data, ranking?.rerankSet, machine)}
</main>`;
}

function link(id: string, label: string): Markup {
  return html`<a href="#${id}">${label}</a>`;
}

function renderResults(run: NonNullable<ReportDocuments["run"]>): Markup {
  const { id, draw } = chartEntry("pareto");
  const chart = draw({ run }, {});
  const metrics = PARETO_METRICS.filter((metric) => hasMetric(run.rows, metric));
  const inputs = metrics.map((metric, index) => {
    const checked = index === 0 ? html` checked` : undefined;
    return html`<label><input type="radio" name="pareto-metric" value="${metric}"${checked}> ${METRIC_NAMES[metric].choice}</label>`;
  });
  const choice = html`<fieldset class="switch"><legend>Quality as</legend>${inputs}</fieldset>`;
  const gates = run.gates.map(
    (held) => html`<li>${held.met ? "met" : "missed"}: <code>${held.gate}</code>, got ${gotInWords(held)}</li>`,
  );
  const stopped = stoppedInWords(run);
  return html`${renderChoices(run)}<section id="results" aria-labelledby="results-title"><h2 id="results-title">Against the controls</h2>
${renderRunTable(run)}
${gates.length === 0 ? undefined : html`<ul class="gates">${gates}</ul>`}
${stopped === undefined ? undefined : html`<p>${stopped}</p>`}
${chart ? html`${metrics.length > 1 ? choice : undefined}${renderFigure(id, chart)}` : undefined}</section>`;
}

function renderFigureSection(key: string, chart: Chart): Markup {
  return html`<section id="${key}" aria-labelledby="${key}-title"><h2 id="${key}-title">${chart.title}</h2>${renderFigure(key, chart)}</section>`;
}

function renderFigure(key: string, chart: Chart): Markup {
  return html`<figure data-chart="${key}"><div class="picture" role="img" aria-label="${chart.title}: ${chart.description}">${{ html: renderSvg(chart) }}</div>
<figcaption>${chart.description}</figcaption>
<details><summary>As a table</summary><div class="data">${renderTable(chart.table, chart.title)}</div></details>
<p class="actions exports">${["SVG", "PNG", "CSV"].map((format) => html`<button type="button" class="quiet" data-save="${format.toLowerCase()}" aria-label="${chart.title} as ${format}">${format}</button>`)}</p></figure>`;
}

function renderRecipeSection(recipe: string): Markup {
  return html`<section id="recipe" aria-labelledby="recipe-title"><h2 id="recipe-title">The recipe</h2>
<p class="lead">Stock <code>llama-quantize</code> makes the file from it. <span id="recipe-note"></span></p>
<div class="toolbar"><label for="recipe-file">File</label><select id="recipe-file"><option>recipe.sh</option></select><button type="button" id="copy-recipe">Copy</button><span id="copied" role="status"></span></div>
<pre id="recipe-text" tabindex="0" role="region" aria-label="Text of the recipe">${recipe}</pre></section>`;
}

function readPage(name: string): string {
  // beside dist/report/html/; entryPoint knows where that is for a program that runs from source
  const path = entryPoint("../page", import.meta.url).replace(/page\.js$/, name);
  return readFileSync(path, "utf8");
}

function hashOf(script: string): string {
  return `sha256-${createHash("sha256").update(script).digest("base64")}`;
}
