/** Models that embed as text: a line of figures per model. */

import type { EmbeddingResult } from "../../evaluate/embedding-result.ts";
import type { EmbeddingEvaluation } from "../../evaluate/evaluation.ts";
import { formatInteger } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";
import { shownFile, warningLines } from "./evaluation-table.ts";
import { formatMeanSe } from "./mean-se.ts";
import { type Column, formatTable } from "./table.ts";
import { fitLines, TERMINAL_WIDTH } from "./wrap-words.ts";

const LEGEND =
  "(drift: 1 − cosine to the reference's vector, 0 is the same; overlap@10: of the ten nearest documents those that are the same)";

/** Render an evaluation by embeddings. Ends with a line break. */
export function renderEmbeddings(
  { reference, retrievalSet, models, warnings }: EmbeddingEvaluation,
  width = TERMINAL_WIDTH,
): string {
  const right = (header: string): Column => ({ header, align: "right" });
  const compared = reference !== undefined;
  const graded = models.some(({ embedding }) => embedding.ndcg10 !== undefined);
  const table = formatTable(
    [
      { header: "model" },
      right("bytes"),
      { ...right("bpw"), drop: 1 },
      ...(compared ? [right("drift"), { ...right("worst"), drop: 2 }, right("overlap@10"), right("same best")] : []),
      ...(graded ? [right("nDCG@10")] : []),
    ],
    models.map(({ path, fileBytes, bpw, embedding }) => [
      shownFile(path),
      formatInteger(fileBytes),
      bpw.toFixed(3),
      ...(compared ? fidelityCells(embedding) : []),
      ...(graded ? [embedding.ndcg10?.value.toFixed(3) ?? "-"] : []),
    ]),
    width,
  );
  const blocks = [
    textsLine(retrievalSet),
    ...referenceLine(reference),
    table,
    ...(compared ? [fitLines(LEGEND, width)] : []),
  ];
  const cut = models.flatMap(({ path, embedding: { truncated } }) =>
    truncated === 0 ? [] : [`${path}: ${truncated} texts were cut to fit the context`],
  );
  return `${[...blocks, ...warningLines([...cut, ...warnings], width)].join("\n")}\n`;
}

function fidelityCells({ fidelity }: EmbeddingResult): string[] {
  if (fidelity === undefined) return ["-", "-", "-", "-"];
  const { drift, worstDrift, overlap10, top1Agreement } = fidelity;
  return [formatMeanSe(drift), worstDrift.toPrecision(3), `${overlap10.toFixed(1)} %`, `${top1Agreement.toFixed(1)} %`];
}

/** What was embedded, in a line. */
function textsLine({ path, queries, documents }: EmbeddingEvaluation["retrievalSet"]): string {
  const source = path === undefined ? "the set that comes with prism" : printable(path);
  return `texts: ${source}; ${queries.length} queries, each searched in ${documents} documents`;
}

function referenceLine(reference: EmbeddingEvaluation["reference"]): string[] {
  if (reference === undefined) return [];
  const { path, embedding } = reference;
  const gain = embedding.ndcg10 === undefined ? "" : `, nDCG@10 ${embedding.ndcg10.value.toFixed(3)}`;
  return [`reference: ${shownFile(path)}, pooling ${embedding.pooling}, ${embedding.dimensions} dimensions${gain}`];
}
