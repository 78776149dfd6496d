/**
 * Rerankers as text: one line of figures per model, and score tables by format, in which ⤴ and ⤵ mark the documents that
 * rank higher or lower than with the reference.
 */

import type { RerankResult, RerankSetSummary } from "../../evaluate/rerank-result.ts";
import { printable } from "../../plan/printable.ts";
import { bootstrapMean, type FamilyStep, familySteps, type Interval } from "../../rerank/rank-family.ts";
import type { Ranking } from "../../rerank/ranking-document.ts";
import { allRanked, type Ranked, type ScoreTable, scoreTables } from "../score-tables.ts";
import { shownFile, warningLines } from "./evaluation-table.ts";
import { type Column, formatTable } from "./table.ts";
import { displayWidth, fitLines, TERMINAL_WIDTH, wrapWords } from "./wrap-words.ts";

/** Queries whose scores are shown; --json has all of them. */
const SHOWN_QUERIES = 4;
/** Characters of a document in a row of scores, and of a file's name above its column: fewer where there are many. */
const DOCUMENT_WIDTH = { most: 46, least: 24 };
const NAME_WIDTH = { few: 18, many: 14 };
/** Files that have room for long names. */
const FEW_FILES = 3;

const LEGEND =
  "(|Δ|: change of a score against the reference; τ: agreement in order, 1 is the same; ⤴ ⤵: ranks higher, lower than there)";

/** Render a ranking. Ends with a line break. */
export function renderRanking(
  ranking: Ranking & { readonly warnings: readonly string[] },
  width = TERMINAL_WIDTH,
): string {
  const all = allRanked(ranking);
  const blocks = [
    setLine(ranking.rerankSet),
    figuresTable(all, width),
    fitLines(LEGEND, width),
    ...familySteps(ranking.models).map((step) => fitLines(stepLine(step), width)),
    "",
    ...scoreBlocks(ranking, width),
    ...all.flatMap(flagLines).map((line) => fitLines(line, width)),
    ...warningLines(ranking.warnings, width),
  ];
  return `${blocks.join("\n")}\n`;
}

/** What was ranked, in a line. */
export function setLine({ path, queries }: RerankSetSummary): string {
  const documents = queries.reduce((sum, query) => sum + query.documents.length, 0);
  const source = path === undefined ? "the set that comes with prism" : printable(path);
  return `documents: ${source}; ${queries.length} queries, ${documents} documents`;
}

function figuresTable(models: readonly Ranked[], width: number): string {
  const right = (header: string): Column => ({ header, align: "right" });
  const flagged = models.some(({ rerank }) => rerank.flags.length > 0);
  const graded = models.some(({ rerank }) => rerank.ndcg10 !== undefined);
  return formatTable(
    [
      { header: "model" },
      right("mean |Δ|"),
      { ...right("95 %"), drop: 1 },
      right("max |Δ|"),
      right("τ"),
      right("same best"),
      { ...right("spread"), drop: 2 },
      ...(graded ? [right("nDCG@10")] : []),
      ...(flagged ? [{ header: "" }] : []),
    ],
    models.map(({ path, rerank }) => [
      formatName(path),
      ...figures(rerank, graded),
      ...(flagged ? [rerank.flags.map(({ code }) => code).join(", ")] : []),
    ]),
    width,
  );
}

function figures({ fidelity, spread, ndcg10 }: RerankResult, graded: boolean): string[] {
  return [
    ...(fidelity === undefined
      ? ["-", "-", "-", "-", "-"]
      : [
          fidelity.meanAbsDelta.value.toPrecision(3),
          formatBounds(bootstrapMean(fidelity.perQuery)),
          fidelity.maxAbsDelta.toPrecision(3),
          fidelity.kendallTau?.value.toFixed(3) ?? "-",
          `${fidelity.top1Agreement.toFixed(1)} %`,
        ]),
    spread.toPrecision(3),
    ...(graded ? [ndcg10?.value.toFixed(3) ?? "-"] : []),
  ];
}

function formatBounds({ low, high }: Interval): string {
  return `${low.toPrecision(2)} to ${high.toPrecision(2)}`;
}

/** Whether a file is surely worse than the next larger one. */
function stepLine({ smaller, larger, difference }: FamilyStep): string {
  const sure = difference.low > 0 ? "worse" : difference.high < 0 ? "better" : "no sure difference";
  const bounds = `mean |Δ| ${difference.value < 0 ? "" : "+"}${difference.value.toPrecision(3)}, 95 % ${formatBounds(difference)}`;
  return `${formatName(smaller)} against ${formatName(larger)}: ${sure} (${bounds})`;
}

function scoreBlocks(ranking: Ranking, width: number): string[] {
  const rest = ranking.rerankSet.queries.length - SHOWN_QUERIES;
  return [
    ...scoreTables(ranking, SHOWN_QUERIES).flatMap((table) => [formatScores(table, allRanked(ranking), width), ""]),
    ...(rest <= 0 ? [] : [`${rest} more ${rest === 1 ? "query" : "queries"} with --json`]),
  ];
}

function formatScores({ query, documents }: ScoreTable, models: readonly Ranked[], width: number): string {
  const name = models.length > FEW_FILES ? NAME_WIDTH.many : NAME_WIDTH.few;
  const left = width - models.length * (name + 2);
  const room = Math.max(DOCUMENT_WIDTH.least, Math.min(DOCUMENT_WIDTH.most, left));
  return formatTable(
    [
      { header: shorten(query, room) },
      ...models.map(({ path }): Column => ({ header: shortenStart(formatName(path), name), align: "right" })),
    ],
    documents.map(({ text, cells }) => [`  ${shorten(text, room - 2)}`, ...cells]),
    width,
  );
}

/** A file's name without .gguf: its format is at the end, so the end is what stays of a long one. */
export function formatName(path: string): string {
  return shownFile(path).replace(/\.gguf$/, "");
}

/** A file's name: its format is at the end, which stays. */
function shortenStart(text: string, width: number): string {
  const characters = [...printable(text)];
  return characters.length <= width ? characters.join("") : `…${characters.slice(1 - width).join("")}`;
}

/** The words that fit. */
function shorten(text: string, width: number): string {
  const clean = printable(text);
  if (displayWidth(clean) <= width) return clean;
  const [first = ""] = wrapWords(clean, width - 2).split("\n");
  return displayWidth(first) > width - 2 ? `${[...first].slice(0, width - 1).join("")}…` : `${first} …`;
}

function flagLines({ path, rerank: { flags, truncated } }: Ranked): string[] {
  const lines = flags.map(
    ({ code, message, remedy }) => `! ${shownFile(path)} is ${code}: ${printable(message)}; ${remedy}`,
  );
  const cut = `! ${shownFile(path)}: ${truncated} documents were cut to fit the context`;
  return [...lines, ...(truncated === 0 ? [] : [cut])];
}
