/**
 * What a row of a run has, column by column: the tables of the terminal, the report, the card and the CSV all come from
 * here, each with the columns that have a header for it.
 */

import { describeKv } from "../footprint/context-size.ts";
import { formatInteger, formatSize } from "../numbers.ts";
import { distanceName, distanceOf } from "../run/row-distance.ts";
import type { RunRow } from "../run/run-document.ts";
import type { TableColumn } from "./charts/table.ts";
import { meanOfKinds } from "./mean-of-kinds.ts";
import { formatMeanSe, formatRate } from "./terminal/mean-se.ts";

/** Where a table stands: a line of the terminal has little room, a page has more. */
export type RunTable = "terminal" | "page" | "card";

/** A value in full, as a spreadsheet gets it. */
export type CsvField<Row> = readonly [column: TableColumn, value: (row: Row) => string | number | undefined];

export interface RunColumn {
  /** What the column judges by; those of what was not measured are left out of a table. */
  readonly group: "row" | "text" | "kinds" | "cache" | "documents" | "embeddings" | "speed";
  /** Of each table that has the column. */
  readonly headers: Readonly<Partial<Record<RunTable, string>>>;
  /** Words, not figures. */
  readonly isText?: true;
  /** A narrow terminal leaves it out, that of the highest number first. */
  readonly drop?: number;
  /** Undefined for what was not measured of the row. */
  readonly text: (row: RunRow, table: RunTable, shown: RunShown) => string | undefined;
  readonly csv: readonly CsvField<RunRow>[];
}

/** By what the models of a run were judged. */
export interface RunShown {
  /** By the text. */
  readonly scored: boolean;
  /** By scores of documents. */
  readonly ranked: boolean;
  /** By vectors. */
  readonly embedded: boolean;
  /** Tokens per second were measured. */
  readonly timed?: boolean;
  /** By kind of text. */
  readonly ofKinds?: boolean;
  /** With other caches than F16. */
  readonly cached?: boolean;
}

const number = (header: string): TableColumn => ({ header, kind: "number" });
const percent = (value: number | undefined) => (value === undefined ? undefined : `${value.toFixed(1)} %`);
/** Only the terminal has no room for the error. */
const rounded = (estimate: { value: number; se: number } | undefined, table: RunTable) =>
  estimate && (table === "terminal" ? estimate.value.toFixed(3) : formatMeanSe(estimate));

export const RUN_COLUMNS: readonly RunColumn[] = [
  {
    group: "row",
    headers: { terminal: "size", page: "size, bytes", card: "Size" },
    text: ({ fileBytes }, table) => (table === "page" ? formatInteger(fileBytes) : formatSize(fileBytes)),
    csv: [[{ header: "file bytes", kind: "bytes" }, ({ fileBytes }) => fileBytes]],
  },
  {
    group: "row",
    drop: 2,
    headers: { terminal: "bpw", page: "bpw", card: "BPW" },
    text: ({ bpw }) => bpw.toFixed(3),
    csv: [[number("bpw"), ({ bpw }) => bpw]],
  },
  {
    group: "text",
    drop: 3,
    headers: { terminal: "PPL", page: "perplexity", card: "PPL" },
    text: ({ ppl }) => ppl && formatMeanSe(ppl),
    csv: [
      [number("ppl"), ({ ppl }) => ppl?.value],
      [number("ppl se"), ({ ppl }) => ppl?.se],
      [number("ln ppl ratio"), ({ lnPplRatio }) => lnPplRatio?.value],
      [number("ln ppl ratio se"), ({ lnPplRatio }) => lnPplRatio?.se],
    ],
  },
  {
    group: "text",
    headers: { terminal: "KLD (nats)", page: "KLD, nats", card: "KLD, nats" },
    text: ({ kind, kld }) => (kld === undefined ? zeroOf(kind) : formatMeanSe({ value: kld.mean, se: kld.se })),
    csv: [
      [number("kld mean"), ({ kld }) => kld?.mean],
      [number("kld se"), ({ kld }) => kld?.se],
      [number("kld median"), ({ kld }) => kld?.median],
    ],
  },
  {
    group: "text",
    headers: { page: "KLD p99" },
    text: ({ kld }) => kld?.p99.toPrecision(3),
    csv: [
      [number("kld p99"), ({ kld }) => kld?.p99],
      [number("kld max"), ({ kld }) => kld?.max],
    ],
  },
  {
    group: "text",
    headers: { terminal: "same top", page: "same top", card: "Same top token" },
    text: ({ sameTop }) => percent(sameTop),
    csv: [
      [number("same top %"), ({ sameTop }) => sameTop],
      [number("same top se"), ({ sameTopSe }) => sameTopSe],
    ],
  },
  {
    group: "kinds",
    headers: { page: "KLD, mean of kinds of text", card: "KLD, mean of kinds of text" },
    text: ({ kinds = [] }) => {
      const mean = meanOfKinds(kinds);
      return mean && formatMeanSe(mean);
    },
    csv: [
      [number("kld mean of kinds"), ({ kinds = [] }) => meanOfKinds(kinds)?.value],
      [number("kld mean of kinds se"), ({ kinds = [] }) => meanOfKinds(kinds)?.se],
    ],
  },
  {
    group: "cache",
    headers: { page: "KLD with its cache quantized", card: "KLD with its cache quantized" },
    text: ({ kvCache }) =>
      kvCache?.kld && `${formatMeanSe({ value: kvCache.kld.mean, se: kvCache.kld.se })} (${describeKv(kvCache)})`,
    csv: [
      [number("kld with cache"), ({ kvCache }) => kvCache?.kld?.mean],
      [number("kld with cache se"), ({ kvCache }) => kvCache?.kld?.se],
      [{ header: "cache" }, ({ kvCache }) => kvCache && describeKv(kvCache)],
    ],
  },
  {
    group: "documents",
    headers: { terminal: "mean |Δ|", page: "mean |Δscore|", card: "Mean |Δscore|" },
    text: ({ kind, rerank }) => (rerank === undefined ? zeroOf(kind) : formatMeanSe(rerank.meanAbsDelta)),
    csv: [
      [number("mean |Δscore|"), ({ rerank }) => rerank?.meanAbsDelta.value],
      [number("mean |Δscore| se"), ({ rerank }) => rerank?.meanAbsDelta.se],
    ],
  },
  {
    group: "documents",
    headers: { terminal: "max |Δ|", page: "max |Δscore|" },
    text: ({ rerank }) => rerank?.maxAbsDelta.toPrecision(3),
    csv: [[number("max |Δscore|"), ({ rerank }) => rerank?.maxAbsDelta]],
  },
  {
    group: "documents",
    headers: { terminal: "τ", page: "Kendall's τ", card: "Kendall's τ" },
    text: ({ rerank }, table) => rounded(rerank?.kendallTau, table),
    csv: [[number("Kendall's τ"), ({ rerank }) => rerank?.kendallTau?.value]],
  },
  {
    group: "documents",
    headers: { terminal: "same best", page: "same best", card: "Same best document" },
    text: ({ rerank }) => percent(rerank?.top1Agreement),
    csv: [[number("same best %"), ({ rerank }) => rerank?.top1Agreement]],
  },
  {
    group: "documents",
    headers: { terminal: "nDCG@10", page: "nDCG@10" },
    text: ({ rerank }, table) => rounded(rerank?.ndcg10, table),
    csv: [
      [number("nDCG@10"), ({ rerank }) => rerank?.ndcg10?.value],
      [number("|Δscore| minus plan"), ({ rerankMinusPlan }) => rerankMinusPlan?.value],
      [number("|Δscore| minus plan se"), ({ rerankMinusPlan }) => rerankMinusPlan?.se],
    ],
  },
  {
    group: "embeddings",
    headers: { terminal: "drift", page: "drift, 1 − cosine", card: "Drift (1 − cosine)" },
    text: ({ kind, embedding }) => (embedding === undefined ? zeroOf(kind) : formatMeanSe(embedding.drift)),
    csv: [
      [number("drift"), ({ embedding }) => embedding?.drift.value],
      [number("drift se"), ({ embedding }) => embedding?.drift.se],
    ],
  },
  {
    group: "embeddings",
    headers: { terminal: "worst", page: "worst drift", card: "Worst drift" },
    text: ({ embedding }) => embedding?.worstDrift.toPrecision(3),
    csv: [[number("worst drift"), ({ embedding }) => embedding?.worstDrift]],
  },
  {
    group: "embeddings",
    headers: { terminal: "overlap@10", page: "overlap@10", card: "Overlap@10" },
    text: ({ embedding }) => percent(embedding?.overlap10),
    csv: [[number("overlap@10 %"), ({ embedding }) => embedding?.overlap10]],
  },
  {
    group: "embeddings",
    headers: { terminal: "same best", page: "same best document" },
    text: ({ embedding }) => percent(embedding?.top1Agreement),
    csv: [[number("same best document %"), ({ embedding }) => embedding?.top1Agreement]],
  },
  {
    group: "embeddings",
    headers: { page: "nDCG@10 of retrieval", card: "nDCG@10" },
    text: ({ embedding }, table) => rounded(embedding?.ndcg10, table),
    csv: [
      [number("nDCG@10 of retrieval"), ({ embedding }) => embedding?.ndcg10?.value],
      [number("drift minus plan"), ({ driftMinusPlan }) => driftMinusPlan?.value],
      [number("drift minus plan se"), ({ driftMinusPlan }) => driftMinusPlan?.se],
    ],
  },
  {
    group: "speed",
    headers: { page: "prompt, tokens/s", card: "Prompt, t/s" },
    text: ({ speed }) => speed && formatRate(speed.prompt),
    csv: [
      [number("prompt tokens/s"), ({ speed }) => speed?.prompt.value],
      [number("prompt tokens/s se"), ({ speed }) => speed?.prompt.se],
    ],
  },
  {
    group: "speed",
    headers: { page: "generation, tokens/s", card: "Generation, t/s" },
    text: ({ speed }) => speed && formatRate(speed.generation),
    csv: [
      [number("generation tokens/s"), ({ speed }) => speed?.generation.value],
      [number("generation tokens/s se"), ({ speed }) => speed?.generation.se],
    ],
  },
  {
    group: "row",
    headers: { terminal: "against the plan", page: "the plan against it", card: "PRISM against it" },
    isText: true,
    text: (row, table, { ranked }) => {
      const isOwn = row.kind === "plan" || row.kind === "reference";
      if (isOwn || row.verdict === undefined) return "";
      const words = (table === "terminal" ? SHORT_VERDICTS[row.verdict] : undefined) ?? row.verdict;
      return `${words}${ranked ? "" : formatChange(row, table)}`;
    },
    csv: [
      [number("kld minus plan"), ({ kldMinusPlan }) => kldMinusPlan?.value],
      [number("kld minus plan se"), ({ kldMinusPlan }) => kldMinusPlan?.se],
      [number("predicted loss"), ({ predictedLoss }) => predictedLoss],
      [{ header: "plan against it" }, ({ verdict, kind }) => (kind === "plan" ? undefined : verdict)],
      [{ header: "verdict code" }, ({ verdictCode }) => verdictCode],
    ],
  },
];

/** The reference's distance from itself. */
function zeroOf(kind: RunRow["kind"]): string | undefined {
  return kind === "reference" ? "0" : undefined;
}

/** What the rows were measured by; text where nothing was ranked or embedded, even if that was not measured either. */
export function shownOf(rows: readonly RunRow[]): RunShown {
  const ranked = rows.some(({ rerank }) => rerank !== undefined);
  const embedded = rows.some(({ embedding }) => embedding !== undefined);
  const timed = rows.some(({ speed }) => speed !== undefined);
  const ofKinds = rows.some(({ kinds }) => kinds !== undefined);
  const cached = rows.some(({ kvCache }) => kvCache !== undefined);
  return {
    ranked,
    embedded,
    timed,
    ofKinds,
    cached,
    scored: !(ranked || embedded) || rows.some(({ kld }) => kld !== undefined),
  };
}

/** The columns of a table, by what its rows were measured by. */
export function runColumns(table: RunTable, shown: RunShown): RunColumn[] {
  const { scored, ranked, embedded, timed = false, ofKinds = false, cached = false } = shown;
  const groups = {
    ...{ row: true, text: scored, documents: ranked, embeddings: embedded, speed: timed },
    ...{ kinds: ofKinds, cache: cached },
  };
  return RUN_COLUMNS.filter(({ headers, group }) => headers[table] !== undefined && groups[group]);
}

/** Of rows of one size. */
const FIRST: readonly RunRow["kind"][] = ["reference", "feedback", "plan"];

/** Reference first, then by size, the plan before a control of its size. */
export function sortRows(rows: readonly RunRow[]): RunRow[] {
  const rank = ({ kind }: RunRow) => FIRST.indexOf(kind) + 1 || FIRST.length + 1;
  return [...rows].sort((a, b) => {
    if (a.kind === "reference" || b.kind === "reference") return rank(a) - rank(b);
    return b.fileBytes - a.fileBytes || rank(a) - rank(b);
  });
}

/** What a line of the terminal has no room for. */
const SHORT_VERDICTS: Readonly<Record<string, string>> = {
  "codes are better": "better codes",
  "codes are worse": "worse codes",
};

/** The row's KLD or drift against the plan's: " +12 %" in a terminal, else " (KLD +12 %)". */
function formatChange(row: RunRow, table: RunTable): string {
  const difference = (row.kldMinusPlan ?? row.driftMinusPlan)?.value;
  const own = distanceOf(row);
  const plan = own === undefined || difference === undefined ? 0 : own - difference;
  if (difference === undefined || !(plan > 0)) return "";
  const percentage = (100 * difference) / plan;
  const change = `${percentage < 0 ? "" : "+"}${percentage.toFixed(Math.abs(percentage) < 10 ? 1 : 0)} %`;
  return table === "terminal" ? ` ${change}` : ` (${distanceName(row)} ${change})`;
}
