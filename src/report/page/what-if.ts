/** Planning anew in the page: budget and pins in, a plan out, from the very allocator of the command line. */
import { describeConstraint } from "../../allocate/patterns.ts";
import type { Constraint } from "../../allocate/problem.ts";
import { PrismError } from "../../errors.ts";
import { COMMON_FILE_TYPES } from "../../ggml/file-types.ts";
import { formatAmount, formatDelta, formatInteger, formatPercent, formatSize } from "../../numbers.ts";
import { type BudgetRequest, budgetFrom, presetFileBytes } from "../../plan/budget.ts";
import { diffPlans } from "../../plan/diff.ts";
import type { Plan } from "../../plan/plan.ts";
import { planHeaderBytes } from "../../plan/predict.ts";
import { askedBudget, budgetRange, replan, tensorChoices } from "../../plan/replan.ts";
import { type ChartTable, showName } from "../charts/table.ts";
import { html, type Markup } from "../html/markup.ts";
import { byId, fill, onPress } from "./dom.ts";

export interface WhatIf {
  plan(): Plan;
  constraints(): readonly Constraint[];
  /** Plan anew with other constraints. */
  constrain(constraints: readonly Constraint[]): void;
}

/** Milliseconds of a plan up to which every position of the slider is planned; above, those where it rests. */
const SMOOTH_MS = 100;
const REST_MS = 150;

/** Positions of the slider. */
const STEPS = 1000;

/** Run the tools above the map. `onPlan` is called with every new plan. */
export function mountWhatIf(opened: Plan, onPlan: (plan: Plan) => void): WhatIf {
  const range = byId<HTMLInputElement>("budget-range");
  const text = byId<HTMLInputElement>("budget-text");
  const problem = byId("problem");
  const start = { budget: askedBudget(opened), constraints: opened.constraints.filter(isOwn) };
  let edit = start;
  let current = opened;
  let lastMs = 0;
  const { minBytes, maxBytes } = budgetRange(opened);
  const toBytes = (position: number) => Math.round(minBytes + ((maxBytes - minBytes) * position) / STEPS);
  const update = (next: typeof edit) => {
    const started = performance.now();
    try {
      current = next === start ? opened : replan(opened, { ...next, createdAt: new Date().toISOString() });
      edit = next;
      problem.textContent = "";
    } catch (error) {
      if (!(error instanceof PrismError)) throw error;
      problem.textContent = showName(error.message, 600);
      return;
    }
    // bench/report.ts reads both: the plan, and the page that shows it
    performance.measure("prism-plan", { start: started });
    showBudget();
    fill(byId("outcome"), renderOutcome(opened, current));
    fill(byId("pins"), renderConstraints(edit.constraints));
    onPlan(current);
    lastMs = performance.measure("prism-update", { start: started }).duration;
  };
  const showBudget = () => {
    const bytes = current.budget.fileBytes;
    range.value = String(Math.round((STEPS * (bytes - minBytes)) / (maxBytes - minBytes)));
    range.setAttribute("aria-valuetext", `${formatInteger(bytes)} bytes, ${showName(current.budget.text, 40)}`);
    if (document.activeElement !== text)
      text.value = showName(current.budget.text.replace(/^--bpw (.*)$/, "$1bpw").replace(/^--(size|like) /, ""), 40);
    for (const button of byId("presets").querySelectorAll<HTMLElement>("[data-preset]")) {
      button.setAttribute("aria-pressed", String(current.budget.text === `--like ${button.dataset.preset}`));
    }
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const planAtSlider = () => {
    timer = undefined;
    update({ ...edit, budget: budgetFrom("size", String(toBytes(Number(range.value)))) });
  };
  let frame = 0;
  range.addEventListener("input", () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    timer = undefined;
    if (lastMs > SMOOTH_MS) {
      timer = setTimeout(planAtSlider, REST_MS);
      return;
    }
    frame = requestAnimationFrame(planAtSlider);
  });
  // let go: nothing to wait for
  range.addEventListener("change", () => {
    if (timer === undefined) return;
    clearTimeout(timer);
    planAtSlider();
  });
  byId("budget-form").addEventListener("submit", (event) => {
    event.preventDefault();
    text.blur();
    const budget = readBudget(text.value, problem);
    if (budget !== undefined) update({ ...edit, budget });
  });
  fill(byId("presets"), renderPresets(opened, minBytes, maxBytes));
  onPress(byId("presets"), "preset", (fileType) => update({ ...edit, budget: budgetFrom("like", fileType) }));
  onPress(byId("pins"), "remove", (index) => {
    update({ ...edit, constraints: edit.constraints.filter((_, position) => position !== Number(index)) });
  });
  byId("reset").addEventListener("click", () => update(start));
  update(start);
  return {
    plan: () => current,
    constraints: () => edit.constraints,
    constrain: (constraints) => update({ ...edit, constraints: [...constraints] }),
  };
}

function isOwn({ builtIn }: Constraint): boolean {
  return builtIn !== true;
}

/** What a person types: Q4_K_M, 4.5bpw, or a size. */
function readBudget(text: string, problem: HTMLElement): BudgetRequest | undefined {
  const value = text.trim();
  try {
    if (/bpw$/i.test(value)) return budgetFrom("bpw", value.replace(/\s*bpw$/i, ""));
    return /^[a-z]/i.test(value) ? budgetFrom("like", value) : budgetFrom("size", value);
  } catch (error) {
    if (!(error instanceof PrismError)) throw error;
    problem.textContent = showName(error.message, 600);
    return undefined;
  }
}

function renderPresets(plan: Plan, minBytes: number, maxBytes: number): Markup {
  const context = {
    facts: plan.facts,
    headerBytes: planHeaderBytes(plan),
    imatrix: plan.imatrix !== undefined,
    tensors: tensorChoices(plan),
  };
  const sized = COMMON_FILE_TYPES.map((name) => ({ name, bytes: presetFileBytes(name, context) }))
    .filter(({ bytes }) => bytes >= minBytes && bytes <= maxBytes)
    .sort((a, b) => a.bytes - b.bytes);
  return html`${sized.map(({ name, bytes }) => html`<button type="button" data-preset="${name}" aria-pressed="false">${name} <small>${formatSize(bytes)}</small></button>`)}`;
}

function renderOutcome(before: Plan, { predicted, tensors }: Plan): Markup {
  const types = new Map(before.tensors.map(({ name, type }) => [name, type]));
  const changed = tensors.filter(({ name, type }) => types.get(name) !== type).length;
  const bytes = predicted.fileBytes - before.predicted.fileBytes;
  const loss = before.predicted.loss === 0 ? 0 : predicted.loss / before.predicted.loss - 1;
  const fact = (label: string, value: string, note: string) =>
    html`<div><dt>${label}</dt><dd>${value}<small>${note}</small></dd></div>`;
  const delta = bytes === 0 ? "" : `, ${formatDelta(bytes)}`;
  return html`${fact("File", formatSize(predicted.fileBytes), `${formatInteger(predicted.fileBytes)} bytes${delta}`)}
${fact("Bits per weight", predicted.bpw.toFixed(4), "")}
${fact("Predicted loss", formatAmount(predicted.loss), loss === 0 ? `at most ${formatPercent(predicted.gap, 3)} above the best possible` : `${loss > 0 ? "+" : ""}${formatPercent(loss)}`)}
${fact("Changed tensors", formatInteger(changed), `of ${formatInteger(tensors.length)}`)}`;
}

function renderConstraints(constraints: readonly Constraint[]): Markup {
  const chip = (constraint: Constraint, index: number) => {
    const words = showName(describeConstraint(constraint), 80);
    return html`<li><span class="name">${words}</span> <button type="button" data-remove="${index}" aria-label="Remove ${words}">×</button></li>`;
  };
  return html`${constraints.map(chip)}`;
}

/** The tensors that differ from the opened plan: their names, and a table of them. */
export function changedTensors(before: Plan, after: Plan): { names: Set<string>; table: ChartTable } {
  const { changes } = diffPlans(before, after);
  return {
    names: new Set(changes.map(({ name }) => name)),
    table: {
      columns: [
        { header: "tensor" },
        { header: "from" },
        { header: "to" },
        { header: "bytes +/-", kind: "number", digits: 0 },
        { header: "loss +/-", kind: "number" },
      ],
      rows: changes.map(({ name, from, to, bytesDelta, lossDelta }) => [name, from, to, bytesDelta, lossDelta]),
    },
  };
}
