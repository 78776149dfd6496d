/**
 * What the plan is worth against each control, honestly: differences of KLD are paired over the same chunks, or of
 * rerankers those of |Δscore| over the same queries; a difference under 2 standard errors is a tie, and files of different
 * size are compared only where one is both smaller and better.
 */
import type { MeanSe } from "../evaluate/evaluation.ts";
import { MIN_CHUNKS } from "../evaluate/length-rule.ts";
import { pairedDifference } from "../evaluate/statistics.ts";
import { present } from "../present.ts";
import { plainLabel } from "./plain-label.ts";
import type { RowKind, RunRow } from "./run-document.ts";
import { SAME_SIZE } from "./same-size.ts";

/** Design decision 9. */
export const TIE_STANDARD_ERRORS = 2;

export type Outcome = "wins" | "matches" | "tie" | "loses" | "larger" | "smaller" | "none";

/** KLD of `row` minus the plan's. Without values per chunk (programs engine) the errors are taken as independent. */
export function kldDifference(plan: RunRow, row: RunRow): MeanSe | undefined {
  if (plan.kld === undefined || row.kld === undefined) return undefined;
  if (plan.kldPerChunk !== undefined && row.kldPerChunk !== undefined) {
    return pairedDifference(row.kldPerChunk, plan.kldPerChunk);
  }
  return { value: row.kld.mean - plan.kld.mean, se: Math.hypot(row.kld.se, plan.kld.se) };
}

/** Queries under which a ranking gives no verdict. */
export const MIN_QUERIES = 10;

/** Mean |Δscore| of `row` minus the plan's. */
export function rerankDifference({ rerank: plan }: RunRow, { rerank: row }: RunRow): MeanSe | undefined {
  return plan === undefined || row === undefined ? undefined : pairedDifference(row.perQuery, plan.perQuery);
}

/** Too little was scored for a verdict: chunks, or queries where the plan was judged by its ranking. */
function tooFew({ rerank }: RunRow, chunks: number): boolean {
  return rerank === undefined ? chunks < MIN_CHUNKS : rerank.perQuery.length < MIN_QUERIES;
}

/** The plan against one row. `chunks` is how many were scored: too few give no outcome. */
export function outcome(plan: RunRow, row: RunRow, chunks: number): Outcome {
  const difference = plan.rerank === undefined ? kldDifference(plan, row) : rerankDifference(plan, row);
  if (difference === undefined || tooFew(plan, chunks)) return "none";
  const decided = Math.abs(difference.value) > TIE_STANDARD_ERRORS * difference.se;
  const size = row.fileBytes / plan.fileBytes - 1;
  if (size > SAME_SIZE) return decided ? (difference.value < 0 ? "larger" : "wins") : "matches";
  if (size < -SAME_SIZE) return decided && difference.value > 0 ? "smaller" : "loses";
  if (!decided) return "tie";
  return difference.value > 0 ? "wins" : "loses";
}

const WORDS: Readonly<Record<Outcome, string>> = {
  wins: "plan wins",
  matches: "plan as good",
  tie: "tie",
  loses: "plan loses",
  larger: "larger file",
  smaller: "smaller file",
  none: "no verdict",
};

/** Of the plan's own file with other codes, of the same size. */
const FEEDBACK_WORDS: Readonly<Record<Outcome, string>> = {
  ...WORDS,
  wins: "codes are worse",
  loses: "codes are better",
};

/** Give every row its difference to the plan and its verdict. `credited`: what creditsSensitivity says of all rows. */
export function judgeRows(rows: readonly RunRow[], chunks: number, credited?: boolean): RunRow[] {
  const plan = rows.find(({ kind }) => kind === "plan");
  if (plan === undefined) return [...rows];
  return rows.map((row) => {
    if (row.kind === "plan") return { ...row, verdict: summarize(rows, plan, chunks, credited) };
    if (row.kind === "reference") return row;
    const words = row.kind === "feedback" ? FEEDBACK_WORDS : WORDS;
    const difference = kldDifference(plan, row);
    const ranking = rerankDifference(plan, row);
    return {
      ...row,
      verdict: words[outcome(plan, row, chunks)],
      ...present({ kldMinusPlan: difference, rerankMinusPlan: ranking }),
    };
  });
}

/** KLD at `fileBytes` on the straight line of ln KLD over bytes between the rows just below and just above. */
export function interpolatedKld(
  rows: readonly Pick<RunRow, "fileBytes" | "kld">[],
  fileBytes: number,
): number | undefined {
  const usable = rows.filter((row) => row.kld !== undefined && row.kld.mean > 0);
  const below = usable.filter((row) => row.fileBytes <= fileBytes).sort((a, b) => b.fileBytes - a.fileBytes)[0];
  const above = usable.filter((row) => row.fileBytes > fileBytes).sort((a, b) => a.fileBytes - b.fileBytes)[0];
  if (below?.kld === undefined || above?.kld === undefined) return undefined;
  const share = (fileBytes - below.fileBytes) / (above.fileBytes - below.fileBytes);
  return Math.exp((1 - share) * Math.log(below.kld.mean) + share * Math.log(above.kld.mean));
}

const CREDITED = "the gain is the sensitivity's own: the plan beats s = elements and every shuffle";
const NOT_CREDITED =
  "nothing is credited to the sensitivity: the plan does not beat s = elements and every shuffle by 2 standard errors";

/** The verdict of the run in a few clauses. */
function summarize(rows: readonly RunRow[], plan: RunRow, chunks: number, credited: boolean | undefined): string {
  if (plan.rerank !== undefined) {
    const { perQuery } = plan.rerank;
    if (tooFew(plan, chunks)) return `only ${perQuery.length} queries were ranked: no verdict under ${MIN_QUERIES}`;
  } else if (plan.kld === undefined) return "no KL divergence was measured: no verdict";
  else if (tooFew(plan, chunks)) return `only ${chunks} chunks were scored: no verdict under ${MIN_CHUNKS}`;
  const controls = rows.filter(({ kind }) => kind !== "plan" && kind !== "feedback" && kind !== "reference");
  const named = (wanted: Outcome) =>
    controls.filter((row) => outcome(plan, row, chunks) === wanted).map(({ label }) => label);
  const parts = [
    sentence("beats", named("wins")),
    sentence("is as good as the larger", named("matches")),
    sentence("ties with", named("tie")),
    sentence("loses to", named("loses")),
  ].filter((part) => part !== "");
  const lines = (plan.rerank === undefined ? (["preset", "uniform"] as const) : [])
    .map((kind) => interpolation(controls, plan, kind))
    .filter((line) => line !== "");
  const head = parts.length === 0 ? "has no control of its size to compare with" : parts.join("; ");
  const coded = rows.find(({ kind }) => kind === "feedback");
  const feedback = coded === undefined ? [] : feedbackGain(plan, coded);
  const gains = plan.rerank === undefined ? controls.flatMap((row) => imatrixGain(controls, row)) : [];
  const credit = credited === undefined ? [] : [credited ? CREDITED : NOT_CREDITED];
  const subject = plan.rerank === undefined ? "the plan" : "by the scores of documents the plan";
  return [`${subject} ${head}`, ...lines, ...feedback, ...gains, ...credit].join("; ");
}

function sentence(verb: string, labels: readonly string[]): string {
  return labels.length === 0 ? "" : `${verb} ${labels.join(", ")}`;
}

const PLURAL: Readonly<Partial<Record<RowKind, string>>> = { preset: "stock presets", uniform: "uniform types" };

function interpolation(controls: readonly RunRow[], plan: RunRow, kind: RowKind): string {
  const rows = controls.filter((row) => row.kind === kind);
  const sameSize = rows.some((row) => Math.abs(row.fileBytes / plan.fileBytes - 1) <= SAME_SIZE);
  const kld = sameSize ? undefined : interpolatedKld(rows, plan.fileBytes);
  if (kld === undefined || plan.kld === undefined) return "";
  const change = 100 * (plan.kld.mean / kld - 1);
  const comparison = `${Math.abs(change).toFixed(1)} % ${change < 0 ? "lower" : "higher"}`;
  return `its KLD is ${comparison} than that of ${PLURAL[kind]} interpolated to its size (${kld.toPrecision(3)})`;
}

/** What other codes do in the plan's types and bytes. */
function feedbackGain(plan: RunRow, coded: RunRow): string[] {
  if (plan.kld === undefined || coded.kld === undefined) return [];
  const change = 100 * (coded.kld.mean / plan.kld.mean - 1);
  return [`error feedback changes its KLD by ${change < 0 ? "" : "+"}${change.toFixed(1)} % at the same bytes`];
}

/** What the importance matrix does to a preset: no merit of the plan. */
function imatrixGain(controls: readonly RunRow[], preset: RunRow): string[] {
  const plain = controls.find(({ kind, label }) => kind === "plain" && label === plainLabel(preset.label));
  if (plain?.kld === undefined || preset.kld === undefined) return [];
  const change = 100 * (preset.kld.mean / plain.kld.mean - 1);
  return [`the imatrix alone changes the KLD of ${preset.label} by ${change < 0 ? "" : "+"}${change.toFixed(1)} %`];
}

/**
 * Whether the gain may be credited to the sensitivity: the plan beats s = elements and every shuffle. Undefined for the
 * plan with s = elements itself, and where too little was scored.
 */
export function creditsSensitivity(rows: readonly RunRow[], chunks: number): boolean | undefined {
  const plan = rows.find(({ kind }) => kind === "plan");
  const controls = rows.filter(({ kind }) => kind === "uniform-s" || kind === "shuffle");
  if (plan === undefined || tooFew(plan, chunks) || !controls.some(({ kind }) => kind === "uniform-s"))
    return undefined;
  return controls.every((row) => outcome(plan, row, chunks) === "wins");
}
