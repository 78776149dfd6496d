/** The panel beside the map: one tensor, why it has its type, what every other would cost and bring, and its pin. */

import { formatAmount, formatAmountDelta, formatInteger, formatPercent, formatSize } from "../../numbers.ts";
import type { ExplainedOption, Explanation } from "../../plan/explain.ts";
import { explainTensor } from "../../plan/explain.ts";
import type { Plan } from "../../plan/plan.ts";
import { MAP_LAYERS, type MapTensor } from "../charts/model-map.ts";
import { showName } from "../charts/table.ts";
import { textOn, typeColour, typeLetters } from "../charts/theme.ts";
import { html, type Markup } from "../html/markup.ts";
import { REASON_WORDS } from "../reason-words.ts";

/** What the panel shows of a tensor of a plan; `pinnable`: the page can plan anew. */
export function renderExplanation(plan: Plan, tensor: MapTensor, pinnable: boolean): Markup {
  const explanation = explainTensor(plan, tensor.name);
  const { tensor: planned, byteShare } = explanation;
  const { type } = planned;
  return html`${renderTitle(tensor)}
<p class="choice"><i class="swatch" style="background-color:${typeColour(type)};color:${textOn(typeColour(type))}">${typeLetters(type)}</i> <strong>${type}</strong> ${showName(planned.note ?? REASON_WORDS[planned.reason], 300)}</p>
<dl class="numbers">
<dt>bytes</dt><dd>${formatInteger(planned.bytes)}, ${formatPercent(byteShare, 2)} of all</dd>
${planned.lossShare === undefined ? undefined : html`<dt>loss</dt><dd>${formatPercent(planned.lossShare, 2)} of the plan's</dd>`}
${planned.sensitivity === undefined ? undefined : html`<dt>sensitivity</dt><dd>${formatAmount(planned.sensitivity)}</dd>`}
</dl>
${pinnable ? renderPins(explanation) : undefined}
${renderOptions(explanation)}
<dl class="numbers">${renderMetrics(tensor)}</dl>`;
}

/** The same of a tensor that was only analyzed. */
export function renderMeasured(tensor: MapTensor): Markup {
  const { distortion } = tensor;
  return html`${renderTitle(tensor)}<dl class="numbers">
${distortion === undefined ? undefined : html`<dt>distortion at 4 bits</dt><dd>${formatAmount(distortion)}</dd>`}
${renderMetrics(tensor)}</dl>`;
}

function renderTitle({ name, shape, elements, sourceType }: MapTensor): Markup {
  return html`<h3 class="name">${showName(name)}</h3>
<p class="muted">${shape.join(" × ")}, ${formatInteger(elements)} weights, ${sourceType} in the source</p>`;
}

function renderMetrics({ metrics }: MapTensor): Markup[] {
  if (metrics === undefined) return [];
  return MAP_LAYERS.flatMap(({ key, label, show }) => {
    const value = (metrics as Readonly<Record<string, number | undefined>>)[key];
    return value === undefined ? [] : [html`<dt>${label}</dt><dd>${show(value)}</dd>`];
  });
}

function renderOptions({ tensor, options, lossUnit }: Explanation): Markup | undefined {
  if (options.length === 0) return undefined;
  const loss = (tensor.sensitivity ?? 0) * (tensor.distortion ?? 0);
  const row = (
    option: ExplainedOption,
  ) => html`<tr class="${option.chosen ? "chosen" : ""}"><th scope="row">${option.type}</th>
<td class="number">${option.chosen ? formatSize(option.bytes) : sizeDelta(option.bytes - tensor.bytes)}</td>
<td class="number">${option.chosen ? formatAmount(option.loss) : formatAmountDelta(option.loss - loss)}</td>
<td>${remark(option, tensor.up?.type, tensor.down?.type)}</td></tr>`;
  return html`<div class="scroll" role="region" aria-label="Other types, table" tabindex="0"><table class="options"><caption>What other types would cost and bring</caption>
<thead><tr><th scope="col">type</th><th scope="col" class="number">size</th><th scope="col" class="number">loss${lossUnit === "relative" ? "" : `, ${lossUnit}`}</th><th scope="col">note</th></tr></thead>
<tbody>${options.map(row)}</tbody></table></div>`;
}

/** Bytes more or less, at a glance. */
function sizeDelta(bytes: number): string {
  return bytes === 0 ? "0" : `${bytes > 0 ? "+" : "-"}${formatSize(Math.abs(bytes))}`;
}

function remark({ chosen, dominated, type }: ExplainedOption, up?: string, down?: string): string {
  if (chosen) return "chosen";
  if (dominated) return "never";
  return type === up ? "step up" : type === down ? "step down" : "";
}

function renderPins({ tensor, options }: Explanation): Markup {
  const types = options.map(({ type }) => type);
  const choices = types.includes(tensor.type) ? types : [tensor.type, ...types];
  return html`<div class="pin"><label for="pin-type">Pin to</label>
<select id="pin-type">${choices.map((type) => html`<option${type === tensor.type ? html` selected` : undefined}>${type}</option>`)}</select>
<button type="button" data-pin="tensor">this tensor</button>
<button type="button" data-pin="class">every <span class="name">${showName(tensor.class, 24)}</span></button></div>`;
}
