/**
 * Rerankers as text: one line of figures per model, and score tables by format, in which ⤴ and ⤵ mark the documents that
 * rank higher or lower than with the reference.
 */
import type { RankedModel, RerankEvaluation } from "../../evaluate/evaluation.ts";
import { rankOrder } from "../../evaluate/rank-statistics.ts";
import type { DocumentScore, RerankResult, RerankSetSummary } from "../../evaluate/rerank-result.ts";
import { printable } from "../../plan/printable.ts";
import { baseName, warningLines } from "./evaluation-table.ts";
import { formatMeanSe } from "./mean-se.ts";
import { type Column, formatTable, wrapWords } from "./table.ts";

const WIDTH = 98;
/** Queries whose scores are shown; --json has all of them. */
const SHOWN_QUERIES = 4;
/** Characters of a document in a row of scores. */
const DOCUMENT_WIDTH = 46;

export type Ranked = Pick<RankedModel, "path" | "rerank">;

/** What is rendered; an evaluation of a text that ranked too has all of it. */
export type Ranking = Pick<RerankEvaluation, "reference" | "rerankSet" | "warnings"> & {
  readonly models: readonly Ranked[];
};

/** Render a ranking. Ends with a line break. */
export function renderRanking(ranking: Ranking): string {
  const { reference, rerankSet, models } = ranking;
  const all: Ranked[] = [...(reference === undefined ? [] : [reference]), ...models];
  const blocks = [
    setLine(rerankSet),
    figuresTable(all),
    "",
    ...scoreTables(rerankSet, all),
    ...all.flatMap(flagLines),
    ...warningLines(ranking.warnings),
  ];
  return `${blocks.join("\n")}\n`;
}

function setLine({ path, queries }: RerankSetSummary): string {
  const documents = queries.reduce((sum, query) => sum + query.documents.length, 0);
  const source = path === undefined ? "the set that comes with prism" : printable(path);
  return `documents: ${source}; ${queries.length} queries, ${documents} documents`;
}

function figuresTable(models: readonly Ranked[]): string {
  const right = (header: string): Column => ({ header, align: "right" });
  const graded = models.some(({ rerank }) => rerank.ndcg10 !== undefined);
  return formatTable(
    [
      { header: "model" },
      right("mean |Δ|"),
      right("max |Δ|"),
      right("τ"),
      right("same best"),
      right("spread"),
      ...(graded ? [right("nDCG@10")] : []),
    ],
    models.map(({ path, rerank }) => [baseName(path), ...figures(rerank, graded)]),
  );
}

function figures({ fidelity, spread, ndcg10 }: RerankResult, graded: boolean): string[] {
  return [
    ...(fidelity === undefined
      ? ["-", "-", "-", "-"]
      : [
          formatMeanSe(fidelity.meanAbsDelta),
          fidelity.maxAbsDelta.toPrecision(3),
          fidelity.kendallTau?.value.toFixed(3) ?? "-",
          `${fidelity.top1Agreement.toFixed(1)} %`,
        ]),
    spread.toPrecision(3),
    ...(graded ? [ndcg10?.value.toFixed(3) ?? "-"] : []),
  ];
}

/** The queries whose scores moved most first; in each, the documents in the order of the first model. */
function scoreTables({ queries }: RerankSetSummary, models: readonly Ranked[]): string[] {
  const moved = (query: number) => Math.max(0, ...models.map(({ rerank }) => rerank.fidelity?.perQuery[query] ?? 0));
  const order = queries.map((_, query) => query).sort((a, b) => moved(b) - moved(a) || a - b);
  const shown = order.slice(0, SHOWN_QUERIES);
  const rest = queries.length - shown.length;
  return [
    ...shown.flatMap((query) => [scoreTable(queries[query], query, models), ""]),
    ...(rest === 0 ? [] : [`${rest} more ${rest === 1 ? "query" : "queries"} with --json`]),
  ];
}

function scoreTable(
  query: RerankSetSummary["queries"][number] | undefined,
  index: number,
  models: readonly Ranked[],
): string {
  const scores = models.map(({ rerank }) => rerank.scores[index] ?? []);
  const places = scores.map(placesOf);
  const first = rankOrder((scores[0] ?? []).map(({ score }) => score));
  return formatTable(
    [
      { header: shorten(query?.query ?? "", DOCUMENT_WIDTH) },
      ...models.map(({ path }): Column => ({ header: shorten(formatName(path), 18), align: "right" })),
    ],
    first.map((document) => [
      `  ${shorten(query?.documents[document] ?? "", DOCUMENT_WIDTH - 2)}`,
      ...scores.map((row, model) => {
        const score = row[document]?.score;
        const before = places[0]?.[document] ?? 0;
        const now = places[model]?.[document] ?? 0;
        return `${score === undefined ? "-" : formatScore(score)}${now < before ? " ⤴" : now > before ? " ⤵" : "  "}`;
      }),
    ]),
  );
}

function placesOf(scores: readonly DocumentScore[]): number[] {
  const places: number[] = [];
  rankOrder(scores.map(({ score }) => score)).forEach((document, place) => {
    places[document] = place;
  });
  return places;
}

/** Four digits after the point, or the magnitude of what is smaller. */
function formatScore(score: number): string {
  return score !== 0 && Math.abs(score) < 1e-4 ? score.toExponential(1) : score.toFixed(4);
}

/** A file's name without .gguf: its format is at the end, so the end is what stays of a long one. */
function formatName(path: string): string {
  return baseName(path).replace(/\.gguf$/, "");
}

function shorten(text: string, width: number): string {
  const characters = [...printable(text)];
  return characters.length <= width ? characters.join("") : `${characters.slice(0, width - 1).join("")}…`;
}

function flagLines({ path, rerank: { flags, truncated } }: Ranked): string[] {
  const lines = flags.map(
    ({ code, message, remedy }) => `! ${baseName(path)} is ${code}: ${printable(message)}; ${remedy}`,
  );
  const cut = `! ${baseName(path)}: ${truncated} documents were cut to fit the context`;
  return [...lines, ...(truncated === 0 ? [] : [cut])].map((line) => wrapWords(line, WIDTH));
}
