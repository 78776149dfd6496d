/** Verdicts and outcomes of a run as programs read them; beside each stands the same in words. */

/** The plan against a row (verdict.ts decides it). */
export const ROW_VERDICTS = ["wins", "matches", "ties", "loses", "larger-file", "smaller-file", "no-verdict"] as const;
export type RowVerdict = (typeof ROW_VERDICTS)[number];

/** The plan against all controls. */
export const RUN_VERDICTS = ["wins", "mixed", "ties", "loses", "no-control", "no-verdict"] as const;
export type RunVerdict = (typeof RUN_VERDICTS)[number];

/** What became of a plan that was to take another's place: of the refined one, and of the swapped one. */
export const OUTCOMES = [
  "kept",
  "kept-untried",
  "not-better",
  "worse-tail",
  "no-change",
  "untried",
  "no-time",
] as const;
export type PlanOutcome = (typeof OUTCOMES)[number];

/** The run's verdict from those of its controls. Files that are larger and better, or smaller and worse, decide nothing. */
export function runVerdict(against: readonly RowVerdict[]): RunVerdict {
  const has = (verdict: RowVerdict) => against.includes(verdict);
  if (has("wins")) return has("loses") ? "mixed" : "wins";
  if (has("loses")) return "loses";
  return has("ties") || has("matches") ? "ties" : "no-control";
}
