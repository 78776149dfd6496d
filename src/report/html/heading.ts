/** The head of a report: which model, what was asked, what came out, in one look. */

import { baseName } from "../../base-name.ts";
import type { MeanSe } from "../../evaluate/evaluation.ts";
import { formatAmount, formatInteger, formatPercent, formatSize } from "../../numbers.ts";
import type { Plan } from "../../plan/plan.ts";
import type { RunRow } from "../../run/run-document.ts";
import { showName } from "../charts/table.ts";
import { formatMeanSe } from "../terminal/mean-se.ts";
import { html, type Markup } from "./markup.ts";
import type { ReportDocuments } from "./report-data.ts";

interface Fact {
  readonly label: string;
  readonly value: string;
  readonly note?: string;
}

/** What the report is of, for the title of the window. */
export function modelName({ run, plan, analysis }: ReportDocuments): string {
  const source = plan?.source ?? analysis?.model;
  return showName(source?.name ?? baseName(source?.path ?? run?.asked.model ?? "model"));
}

/** The head of the page: name, verdict in a sentence, the numbers that matter. */
export function renderHeading(documents: ReportDocuments): Markup {
  const { run, plan, analysis } = documents;
  const kind = run ? "Run report" : plan ? "Plan" : "Analysis";
  const arch = plan?.source.arch ?? analysis?.model.arch;
  const warnings = run?.warnings ?? plan?.warnings ?? [];
  return html`<section class="heading" aria-labelledby="title">
<p class="kicker">${kind}${arch === undefined ? "" : html` · <span class="name">${showName(arch)}</span>`}</p>
<h1 id="title" class="name">${modelName(documents)}</h1>
${plan ? renderAsked(plan) : undefined}
${sentence(documents)}
<dl class="facts">${factsOf(documents).map(renderFact)}</dl>
${warnings.length === 0 ? undefined : html`<ul class="warnings">${warnings.map((warning) => html`<li>${showName(warning, 600)}</li>`)}</ul>`}
</section>`;
}

function sentence({ run, plan, analysis }: ReportDocuments): Markup | undefined {
  if (run?.verdict !== undefined) return html`<p class="verdict">${capitalize(showName(run.verdict, 1200))}.</p>`;
  if (run !== undefined) return html`<p class="verdict">The run has no verdict yet.</p>`;
  if (plan !== undefined) {
    return html`<p class="verdict">A type for every tensor within ${formatSize(plan.budget.fileBytes)}. Predicted, not measured: <code>prism run</code> measures it against controls.</p>`;
  }
  if (analysis === undefined) return undefined;
  return html`<p class="verdict">What was measured of every tensor. <code>prism plan</code> turns it into a plan.</p>`;
}

function capitalize(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}

function renderFact({ label, value, note }: Fact): Markup {
  return html`<div><dt>${label}</dt><dd>${value}${note === undefined ? undefined : html`<small>${note}</small>`}</dd></div>`;
}

function factsOf({ run, plan, analysis }: ReportDocuments): Fact[] {
  const row = run?.rows.find(({ kind }) => kind === "plan");
  const size = plan?.source.fileBytes ?? analysis?.model.fileBytes;
  if (row === undefined && plan === undefined) return analysis === undefined ? [] : analysisFacts(analysis);
  const bytes = row?.fileBytes ?? plan?.predicted.fileBytes ?? 0;
  const bpw = row?.bpw ?? plan?.predicted.bpw ?? 0;
  const share = size === undefined ? [] : [`${formatPercent(bytes / size, 0)} of the source`];
  return [
    { label: "File", value: formatSize(bytes), note: [`${formatInteger(bytes)} bytes`, ...share].join(", ") },
    { label: "Bits per weight", value: bpw.toFixed(3) },
    ...(row === undefined ? [] : measuredFacts(row)),
    ...(plan === undefined ? [] : lossFacts(plan)),
  ];
}

function measuredFacts({ kld, ppl, lnPplRatio, sameTop, rerank, embedding }: RunRow): Fact[] {
  return [
    ...(rerank ? [rerankFact(rerank)] : []),
    ...(embedding ? driftFacts(embedding) : []),
    ...(kld ? [{ label: "KL divergence", ...measuredValue({ value: kld.mean, se: kld.se }, " nats per token") }] : []),
    ...(ppl
      ? [
          {
            label: "Perplexity",
            ...measuredValue(ppl, lnPplRatio ? `; log ratio to the source ${formatMeanSe(lnPplRatio)}` : ""),
          },
        ]
      : []),
    ...(sameTop === undefined
      ? []
      : [{ label: "Same top token", value: `${sameTop.toFixed(1)} %`, note: "as the source's" }]),
  ];
}

/** The value as a fact, and its error in the note: "0.00644" and "± 0.00027 nats per token". */
function measuredValue(measured: MeanSe, after: string): Pick<Fact, "value" | "note"> {
  const [value = "", error] = formatMeanSe(measured).split(" ± ");
  return { value, note: error === undefined ? after.replace(/^[;,] /, "") : `± ${error}${after}` };
}

function rerankFact({ meanAbsDelta, maxAbsDelta }: NonNullable<RunRow["rerank"]>): Fact {
  return { label: "Mean |Δscore|", ...measuredValue(meanAbsDelta, `, at most ${formatAmount(maxAbsDelta)}`) };
}

function driftFacts({ drift, worstDrift, overlap10 }: NonNullable<RunRow["embedding"]>): Fact[] {
  return [
    {
      label: "Drift of embeddings",
      ...measuredValue(drift, `, 1 − cosine, at most ${formatAmount(worstDrift)}`),
    },
    { label: "Overlap@10", value: `${overlap10.toFixed(1)} %`, note: "of the ten nearest documents" },
  ];
}

function lossFacts({ predicted, lossUnit }: Plan): Fact[] {
  const gap = `at most ${formatPercent(predicted.gap, 3)} above the best possible`;
  return [{ label: "Predicted loss", value: formatAmount(predicted.loss), note: `${lossUnit}; ${gap}` }];
}

/** The request, as a person would say it. */
function renderAsked({ budget, mode, sensitivity, constraints }: Plan): Markup {
  const own = constraints.filter(({ builtIn }) => builtIn !== true).length;
  const words = [
    `at most ${formatInteger(budget.fileBytes)} bytes`,
    mode === "tensor" ? "a type per tensor" : `mode ${mode}`,
    `sensitivity ${showName(sensitivity.mode, 20)}`,
    ...(own === 0 ? [] : [`${own} ${own === 1 ? "constraint" : "constraints"}`]),
  ];
  return html`<p class="asked">Asked: <code>${showName(budget.text)}</code>, ${words.join(", ")}.</p>`;
}

function analysisFacts({ model, tensors, sampling }: NonNullable<ReportDocuments["analysis"]>): Fact[] {
  const eligible = tensors.filter((tensor) => tensor.eligible);
  return [
    { label: "File", value: formatSize(model.fileBytes), note: `${formatInteger(model.fileBytes)} bytes` },
    { label: "Weights", value: formatInteger(model.elements) },
    {
      label: "Tensors",
      value: formatInteger(tensors.length),
      note: `${formatInteger(eligible.length)} can be quantized`,
    },
    { label: "Read", value: formatPercent(sampling.bytesRead / Math.max(1, model.fileBytes), 1), note: "of the file" },
  ];
}
