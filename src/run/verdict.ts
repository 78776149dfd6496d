/**
 * What the plan is worth against each control, honestly: differences of KLD are paired over the same chunks, of
 * rerankers those of |Δscore| over the same queries, of embeddings those of drift over the same texts; a difference
 * under 2 standard errors is a tie, and files of different size are compared only where one is both smaller and better.
 */
import { MIN_CHUNKS } from "../evaluate/length-rule.ts";
import { present } from "../present.ts";
import { plainLabel } from "./plain-label.ts";
import {
  changeFrom,
  differenceTo,
  distanceName,
  distanceOf,
  driftDifference,
  interpolateAt,
  kldDifference,
  rerankDifference,
} from "./row-distance.ts";
import type { RowKind, RunRow } from "./run-document.ts";
import { SAME_SIZE } from "./same-size.ts";
import { shownLabel } from "./shown-label.ts";
import { type RowVerdict, type RunVerdict, runVerdict } from "./verdict-codes.ts";

/** Design decision 9. */
export const TIE_STANDARD_ERRORS = 2;

/** Queries under which a ranking gives no verdict. */
export const MIN_QUERIES = 10;

/** Texts under which embeddings give no verdict. */
export const MIN_TEXTS = 20;

/** Too little was scored for a verdict: in words, what there was and what it takes. */
function tooFew({ rerank, embedding }: RunRow, chunks: number): string | undefined {
  const [were, had, least] =
    rerank !== undefined
      ? ["queries were ranked", rerank.perQuery.length, MIN_QUERIES]
      : embedding !== undefined
        ? ["texts were embedded", embedding.perText.length, MIN_TEXTS]
        : ["chunks were scored", chunks, MIN_CHUNKS];
  return had < least ? `only ${had} ${were}: no verdict under ${least}` : undefined;
}

/** The plan against one row. `chunks` is how many were scored: too few give no outcome. */
export function outcome(plan: RunRow, row: RunRow, chunks: number): RowVerdict {
  const difference = differenceTo(plan, row);
  if (difference === undefined || tooFew(plan, chunks) !== undefined) return "no-verdict";
  const decided = Math.abs(difference.value) > TIE_STANDARD_ERRORS * difference.se;
  const size = row.fileBytes / plan.fileBytes - 1;
  if (size > SAME_SIZE) return decided ? (difference.value < 0 ? "larger-file" : "wins") : "matches";
  if (size < -SAME_SIZE) return decided && difference.value > 0 ? "smaller-file" : "loses";
  if (!decided) return "ties";
  return difference.value > 0 ? "wins" : "loses";
}

const WORDS: Readonly<Record<RowVerdict, string>> = {
  wins: "plan wins",
  matches: "plan as good",
  ties: "tie",
  loses: "plan loses",
  "larger-file": "larger file",
  "smaller-file": "smaller file",
  "no-verdict": "no verdict",
};

/** Of the plan's own file with other codes, of the same size. */
const FEEDBACK_WORDS: Readonly<Record<RowVerdict, string>> = {
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
    const drift = driftDifference(plan, row);
    const verdictCode = outcome(plan, row, chunks);
    return {
      ...row,
      verdict: words[verdictCode],
      verdictCode,
      ...present({ kldMinusPlan: difference, rerankMinusPlan: ranking, driftMinusPlan: drift }),
    };
  });
}

const CREDITED = "the gain is the sensitivity's own: the plan beats the one without sensitivity and every shuffled one";
const NOT_CREDITED =
  "nothing is credited to the sensitivity: the plan does not beat the one without sensitivity and every shuffled one by 2 standard errors";

/** The verdict of the run in a few clauses. */
function summarize(rows: readonly RunRow[], plan: RunRow, chunks: number, credited: boolean | undefined): string {
  const { rerank, embedding, kld } = plan;
  if (rerank === undefined && embedding === undefined && kld === undefined) {
    return "no KL divergence was measured: no verdict";
  }
  const little = tooFew(plan, chunks);
  if (little !== undefined) return little;
  const controls = controlsAmong(rows);
  const named = (wanted: RowVerdict) =>
    controls.filter((row) => outcome(plan, row, chunks) === wanted).map(({ label }) => shownLabel(label));
  const parts = [
    sentence("beats", named("wins")),
    sentence("is as good as the larger", named("matches")),
    sentence("ties with", named("ties")),
    sentence("loses to", named("loses")),
  ].filter((part) => part !== "");
  const lines = (rerank === undefined ? (["preset", "uniform"] as const) : [])
    .map((kind) => interpolation(controls, plan, kind))
    .filter((line) => line !== "");
  const head = parts.length === 0 ? "has no control of its size to compare with" : parts.join("; ");
  const coded = rows.find(({ kind }) => kind === "feedback");
  const feedback = coded === undefined ? [] : feedbackGain(plan, coded);
  const gains = rerank === undefined ? controls.flatMap((row) => imatrixGain(controls, row)) : [];
  const credit = credited === undefined ? [] : [credited ? CREDITED : NOT_CREDITED];
  const by = rerank !== undefined ? "by the scores of documents " : embedding !== undefined ? "by its embeddings " : "";
  const subject = `${by}the plan`;
  return [`${subject} ${head}`, ...lines, ...feedback, ...gains, ...credit].join("; ");
}

/** What the plan is judged against. */
function controlsAmong(rows: readonly RunRow[]): RunRow[] {
  return rows.filter(({ kind }) => kind !== "plan" && kind !== "feedback" && kind !== "reference");
}

/** The verdict of the run for programs; undefined until the plan was measured. */
export function verdictOf(rows: readonly RunRow[], chunks: number): RunVerdict | undefined {
  const plan = rows.find(({ kind }) => kind === "plan");
  if (plan === undefined) return undefined;
  if (distanceOf(plan) === undefined || tooFew(plan, chunks) !== undefined) return "no-verdict";
  return runVerdict(controlsAmong(rows).map((row) => outcome(plan, row, chunks)));
}

function sentence(verb: string, labels: readonly string[]): string {
  return labels.length === 0 ? "" : `${verb} ${labels.join(", ")}`;
}

const PLURAL: Readonly<Partial<Record<RowKind, string>>> = { preset: "stock presets", uniform: "uniform types" };

function interpolation(controls: readonly RunRow[], plan: RunRow, kind: RowKind): string {
  const rows = controls.filter((row) => row.kind === kind);
  const sameSize = rows.some((row) => Math.abs(row.fileBytes / plan.fileBytes - 1) <= SAME_SIZE);
  const points = rows.flatMap((row) => {
    const value = distanceOf(row);
    return value === undefined ? [] : [{ fileBytes: row.fileBytes, value }];
  });
  const between = sameSize ? undefined : interpolateAt(points, plan.fileBytes);
  const own = distanceOf(plan);
  if (between === undefined || own === undefined) return "";
  const change = 100 * (own / between - 1);
  const comparison = `${Math.abs(change).toFixed(1)} % ${change < 0 ? "lower" : "higher"}`;
  return `its ${distanceName(plan)} is ${comparison} than that of ${PLURAL[kind]} interpolated to its size (${between.toPrecision(3)})`;
}

/** What other codes do in the plan's types and bytes. */
function feedbackGain(plan: RunRow, coded: RunRow): string[] {
  const change = changeFrom(plan, coded);
  if (change === undefined) return [];
  const signed = `${change < 0 ? "" : "+"}${change.toFixed(1)} %`;
  return [`error feedback changes its ${distanceName(plan)} by ${signed} at the same bytes`];
}

/** What the importance matrix does to a preset: no merit of the plan. */
function imatrixGain(controls: readonly RunRow[], preset: RunRow): string[] {
  const plain = controls.find(({ kind, label }) => kind === "plain" && label === plainLabel(preset.label));
  const change = changeFrom(plain, preset);
  if (change === undefined) return [];
  const signed = `${change < 0 ? "" : "+"}${change.toFixed(1)} %`;
  return [`the imatrix alone changes the ${distanceName(preset)} of ${preset.label} by ${signed}`];
}

/**
 * Whether the gain may be credited to the sensitivity: the plan beats s = elements and every shuffle. Undefined for the
 * plan with s = elements itself, and where too little was scored.
 */
export function creditsSensitivity(rows: readonly RunRow[], chunks: number): boolean | undefined {
  const plan = rows.find(({ kind }) => kind === "plan");
  const controls = rows.filter(({ kind }) => kind === "uniform-s" || kind === "shuffle");
  if (plan === undefined || tooFew(plan, chunks) !== undefined || !controls.some(({ kind }) => kind === "uniform-s"))
    return undefined;
  return controls.every((row) => outcome(plan, row, chunks) === "wins");
}
