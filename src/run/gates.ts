/**
 * Quality gates of `--require`, held against the plan's row, or against a model that was evaluated. All of them have to
 * hold; what `&&` joins is a gate each, what `||` joins is one.
 */
import { UsageError } from "../errors.ts";
import { type FileType, parseFileType } from "../ggml/file-types.ts";
import { present } from "../present.ts";
import { type GatedFigures, MEASURE_NAMES, type Measured, measureOf } from "./gate-measures.ts";
import { type Condition, conditionText, type Leaf, leavesOf, type Operator, parseCondition } from "./gate-syntax.ts";
import type { GateResult, RunRow } from "./run-document.ts";
import type { RowVerdict } from "./verdict-codes.ts";

const COMPARE: Readonly<Record<Operator, (value: number, limit: number) => boolean>> = {
  "<=": (value, limit) => value <= limit,
  ">=": (value, limit) => value >= limit,
  "<": (value, limit) => value < limit,
  ">": (value, limit) => value > limit,
};

/** Verdicts by which a verb holds. */
const HOLDS: Readonly<Record<"beats" | "ties", readonly RowVerdict[]>> = { beats: ["wins"], ties: ["ties", "matches"] };

export interface Gate {
  readonly text: string;
  readonly condition: Condition;
}

/** Parse conditions like "kld<=0.05 && beats(Q4_K_M)". Throws UsageError that names the measures there are. */
export function parseGates(texts: readonly string[]): Gate[] {
  return texts.flatMap((text) => {
    const condition = parseCondition(text);
    const parts = condition.kind === "all" ? condition.parts : [condition];
    return parts.map((part) => ({ text: conditionText(part), condition: part }));
  });
}

/** The presets that gates speak of: a run makes them too. */
export function presetsOf(gates: readonly Gate[]): FileType[] {
  const named = labelsOf(gates).map(parseFileType);
  return [...new Set(named.filter((preset) => preset !== undefined))];
}

/** The rows that gates speak of. */
export function labelsOf(gates: readonly Gate[]): string[] {
  return leaves(gates).flatMap((leaf) => (leaf.kind === "verdict" ? [leaf.label] : []));
}

/** Throws UsageError for a figure that is not measured here; `reference`: there is one to compare with. */
export function requireMeasured(gates: readonly Gate[], measures: Measured, { reference = true } = {}): void {
  const isMeasured = ({ needs, compared }: ReturnType<typeof measureOf>) =>
    (needs === undefined || needs.some((one) => measures[one])) && (reference || !compared);
  const missing = leaves(gates).find((leaf) => leaf.kind === "figure" && !isMeasured(measureOf(leaf.measure)));
  if (missing?.kind !== "figure") return;
  const names = MEASURE_NAMES.filter((name) => isMeasured(measureOf(name)));
  const { compared, needs } = measureOf(missing.measure);
  const lacks = needs?.includes("speed") ? "--speed" : compared && !reference ? "--reference" : undefined;
  const without = lacks === undefined ? "" : ` without ${lacks}`;
  throw new UsageError(`--require ${missing.text}: that is not measured here${without}; there are ${names.join(", ")}`);
}

/** Controls besides presets, as candidates.ts calls them: which of them there are, the plan decides. */
const CONTROLS = /^(all \w+|s = elements|plan without head guard|shuffle \d+|\w+ without imatrix)$/i;

/** Throws UsageError for a row that no run could have; `others`: rows that this one may have besides presets and controls. */
export function requirePossibleRows(gates: readonly Gate[], others: readonly string[]): void {
  const known = new Set(others.map((label) => label.toLowerCase()));
  const unknown = labelsOf(gates).find(
    (label) => parseFileType(label) === undefined && !CONTROLS.test(label) && !known.has(label.toLowerCase()),
  );
  if (unknown === undefined) return;
  throw new UsageError(
    `--require: a run has no row "${unknown}" to compare the plan with; name a preset like Q4_K_M, "all Q4_K", "s = elements" or "shuffle 1"`,
  );
}

/** Throws UsageError for a row that there is not. */
export function requireRows(gates: readonly Gate[], labels: readonly string[]): void {
  const known = new Set(labels.map((label) => label.toLowerCase()));
  const unknown = labelsOf(gates).find((label) => !known.has(label.toLowerCase()));
  if (unknown === undefined) return;
  throw new UsageError(
    `--require: there is no row "${unknown}" to compare the plan with; there are ${labels.join(", ")}`,
  );
}

/** Hold a file against the gates; `rows`, as they were judged, are what it may beat. What was not measured misses its gate. */
export function checkGates(gates: readonly Gate[], file: GatedFigures, rows: readonly RunRow[] = []): GateResult[] {
  return gates.map(({ text, condition }) => {
    const results = new Map(leavesOf(condition).map((leaf) => [leaf, checkLeaf(leaf, file, rows)]));
    const of = [...results.values()];
    const [only] = of;
    if (only !== undefined && !("parts" in condition)) return only;
    return { gate: text, met: holds(condition, results), of };
  });
}

function leaves(gates: readonly Gate[]): Leaf[] {
  return gates.flatMap(({ condition }) => leavesOf(condition));
}

type LeafResult = Omit<GateResult, "of">;

function checkLeaf(leaf: Leaf, file: GatedFigures, rows: readonly RunRow[]): LeafResult {
  if (leaf.kind === "figure") {
    const value = measureOf(leaf.measure).of(file);
    return {
      gate: leaf.text,
      ...present({ value }),
      met: value !== undefined && COMPARE[leaf.operator](value, leaf.limit),
    };
  }
  const row = rows.find(({ label }) => label.toLowerCase() === leaf.label.toLowerCase());
  const { verdictCode, rerankMinusPlan, driftMinusPlan, kldMinusPlan } = row ?? {};
  const value = (rerankMinusPlan ?? driftMinusPlan ?? kldMinusPlan)?.value;
  const met = verdictCode !== undefined && HOLDS[leaf.verb].includes(verdictCode);
  return { gate: leaf.text, ...present({ value, verdictCode }), met };
}

function holds(condition: Condition, results: ReadonlyMap<Leaf, LeafResult>): boolean {
  if (!("parts" in condition)) return results.get(condition)?.met ?? false;
  return condition.kind === "all"
    ? condition.parts.every((part) => holds(part, results))
    : condition.parts.some((part) => holds(part, results));
}

/** Of the row that a gate names, against the plan. */
const VERDICT_WORDS: Readonly<Record<RowVerdict, string>> = {
  wins: "plan wins",
  matches: "as good as that larger file",
  ties: "tie",
  loses: "plan loses",
  "larger-file": "that file is larger, and better",
  "smaller-file": "that file is smaller, and worse",
  "no-verdict": "no verdict",
};

/** What a gate was held against, in words: "0.0512", "plan loses", "not measured". */
export function gotInWords({ value, verdictCode, of = [] }: GateResult): string {
  if (of.length > 0) return of.map((leaf) => `${leaf.gate}: ${gotInWords(leaf)}`).join("; ");
  if (verdictCode !== undefined) return VERDICT_WORDS[verdictCode];
  return value === undefined ? "not measured" : String(Number(value.toPrecision(6)));
}
