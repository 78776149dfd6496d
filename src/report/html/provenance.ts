/** Where the numbers of a report are from: versions, hashes, machine, seed, text. */

import type { RerankSetSummary } from "../../evaluate/rerank-result.ts";
import { formatInteger, formatPercent } from "../../numbers.ts";
import { showName } from "../charts/table.ts";
import { stoppedInWords } from "../stopped-words.ts";
import { textLine } from "../terminal/evaluation-table.ts";
import { setLine } from "../terminal/rerank-table.ts";
import { html, type Markup } from "./markup.ts";
import type { ReportData } from "./report-data.ts";

/** The last section. Only what the documents say. */
export function renderProvenance(
  data: ReportData,
  documents: RerankSetSummary | undefined,
  machine: string | undefined,
): Markup {
  const rows = [...modelRows(data), ...runRows(data), ...documentRows(documents), ...analysisRows(data)];
  if (machine !== undefined) rows.push(["report made on", machine]);
  rows.push(["report made by", `PRISM ${data.prismVersion}`]);
  return html`<section id="provenance" aria-labelledby="provenance-title"><h2 id="provenance-title">Provenance</h2>
<dl class="provenance">${rows.map(([label, value]) => html`<dt>${label}</dt><dd class="name">${showName(value, 400)}</dd>`)}</dl></section>`;
}

type Rows = [label: string, value: string][];

function modelRows({ plan, run }: ReportData): Rows {
  if (plan === undefined) return run === undefined ? [] : [["source", run.asked.model]];
  const { source, imatrix, feedback, sensitivity, prismVersion, createdAt } = plan;
  return [
    ["source", source.path],
    ["header SHA-256", source.headerHash],
    ["tensors", `${formatInteger(source.tensorCount)}, ${formatInteger(source.elements)} weights`],
    ["sensitivity", `${sensitivity.mode}, version ${sensitivity.version}`],
    ["importance matrix", imatrix === undefined ? "none" : `${imatrix.path}, SHA-256 ${imatrix.sha256}`],
    ...(feedback === undefined
      ? []
      : ([["errors counted", `what error feedback leaves of them; text: ${feedback.text}`]] satisfies Rows)),
    ["plan made", `${createdAt} by PRISM ${prismVersion}`],
  ];
}

function runRows({ run }: ReportData): Rows {
  if (run === undefined) return [];
  const { asked, text, createdAt, finishedAt } = run;
  const stopped = stoppedInWords(run);
  return [
    ["asked", [asked.budget, `mode ${asked.mode}`, ...asked.constraints].join(", ")],
    ["engine", asked.engine],
    ["seed", String(asked.seed)],
    ...(text === undefined
      ? []
      : ([
          ["text", textLine(text)],
          ["text SHA-256", text.sha256],
        ] satisfies Rows)),
    ["run", `${createdAt} to ${finishedAt ?? "unfinished"}, PRISM ${run.prismVersion}`],
    ...(stopped === undefined ? [] : ([["not finished", stopped]] satisfies Rows)),
  ];
}

function documentRows(set: RerankSetSummary | undefined): Rows {
  if (set === undefined) return [];
  return [
    ["documents", setLine(set).replace(/^documents: /, "")],
    ["documents SHA-256", set.sha256],
  ];
}

function analysisRows({ analysis }: ReportData): Rows {
  if (analysis === undefined) return [];
  const { engine, backend, sampling, createdAt } = analysis;
  const exact = sampling.exactDistortion
    ? "every row"
    : `rows until the relative standard error was under ${formatPercent(sampling.targetRelativeSe)}`;
  return [
    ["distortion", `ggml ${engine.version} (${engine.origin}), ${exact}, seed ${sampling.seed}`],
    ["metrics", `backend ${backend}${sampling.exactMetrics ? ", every row" : ", sampled"}`],
    ["analyzed", `${createdAt}, ${formatInteger(sampling.bytesRead)} bytes read`],
  ];
}
