/** The files of a family as HTML: which one to choose. */
import { formatInteger, formatPercent, formatSize } from "../../numbers.ts";
import type { Run } from "../../run/run-document.ts";
import { showName } from "../charts/table.ts";
import { type Choice, choicesOf, verdictWithChange } from "../family-choices.ts";
import { formatMeanSe } from "../terminal/mean-se.ts";
import { html, type Markup } from "./markup.ts";

/** Render the section; undefined for a run that keeps one plan. */
export function renderChoices(run: Run): Markup | undefined {
  const choices = choicesOf(run);
  if (choices.length === 0) return undefined;
  const source = run.rows.find(({ kind }) => kind === "reference")?.fileBytes;
  const heads = ["size", "of the source", "bpw", "KLD, nats", "same top"];
  return html`<section id="choose" aria-labelledby="choose-title"><h2 id="choose-title">Which one to choose</h2>
<div class="wide"><div class="scroll" role="region" aria-label="Which one to choose, table" tabindex="0"><table class="results">
<caption>The files of the family, in the run's folder models, all measured on the same text, ± one standard error: the lower the KLD, the truer to the source.</caption>
<thead><tr><th scope="col">file</th>${heads.map((head) => html`<th scope="col" class="number">${head}</th>`)}<th scope="col">against the preset nearest in size</th></tr></thead>
<tbody>${choices.map((choice) => renderChoice(choice, source))}</tbody>
</table></div></div></section>`;
}

function renderChoice({ file, row, isPlan, ...judged }: Choice, source: number | undefined): Markup {
  const { fileBytes, bpw, kld, sameTop } = row;
  const cells = [
    html`<td class="number" title="${formatInteger(fileBytes)} bytes">${formatSize(fileBytes)}</td>`,
    ...[
      source === undefined ? "–" : formatPercent(fileBytes / source, 0),
      bpw.toFixed(3),
      kld === undefined ? "–" : formatMeanSe({ value: kld.mean, se: kld.se }),
      sameTop === undefined ? "–" : `${sameTop.toFixed(1)} %`,
    ].map((text) => html`<td class="number">${text}</td>`),
    html`<td>${showName(verdictWithChange(judged), 200)}</td>`,
  ];
  return html`<tr><th scope="row">${showName(file)}${isPlan ? html` <small>the plan</small>` : undefined}</th>${cells}</tr>`;
}
