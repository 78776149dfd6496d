/** An inspection as text: identity, classes, the size under each stock preset, findings. */

import { formatBytes, formatInteger, formatPercent, formatSize } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";
import type { EngineOpinion, Inspection } from "../../preflight/inspection.ts";
import { renderFindings } from "./findings-text.ts";
import { inspectedMemoryTable } from "./inspected-memory-table.ts";
import { type Paint, plain } from "./paint.ts";
import { formatTable } from "./table.ts";
import { TERMINAL_WIDTH } from "./wrap-words.ts";

/** Characters of a class name before it is cut. */
const CLASS_WIDTH = 28;

/** Metadata that tells models apart, where the file has it: key (without the architecture) and label. */
const DETAILS: readonly (readonly [key: string, label: string])[] = [
  ["context_length", "context"],
  ["embedding_length", "embedding"],
  ["feed_forward_length", "feed-forward"],
  ["attention.head_count", "heads"],
  ["attention.head_count_kv", "kv heads"],
  ["expert_count", "experts"],
  ["expert_used_count", "experts used"],
  ["nextn_predict_layers", "MTP layers"],
];

/** Render an inspection. Ends with a line break. */
export function renderInspection(inspection: Inspection, paint: Paint = plain, width = TERMINAL_WIDTH): string {
  const blocks = [heading(inspection, width), classTable(inspection, width)];
  if (inspection.presets.length > 0) blocks.push(presetTable(inspection));
  if (inspection.memory !== undefined) blocks.push(inspectedMemoryTable(inspection.memory, inspection.presets, width));
  const { findings } = inspection;
  blocks.push(findings.length === 0 ? "no findings" : renderFindings(findings, paint, width));
  if (inspection.engine !== undefined) blocks.push(engineLine(inspection.engine));
  return `${blocks.join("\n\n")}\n`;
}

function engineLine({ verdict, why }: EngineOpinion): string {
  if (verdict === "not asked") return `llama.cpp was not asked whether it loads the file: ${why}`;
  return verdict === "loads"
    ? "llama.cpp was asked: it loads the file, by its header"
    : "llama.cpp was asked: it refuses the file";
}

function heading(inspection: Inspection, width: number): string {
  const { arch, name, facts, shards, fileType, metadata } = inspection;
  const details = DETAILS.flatMap(([key, label]) => {
    const value = metadata[`${arch}.${key}`];
    return value === undefined ? [] : [`${label} ${printable(String(value))}`];
  });
  const pooling = facts.rankPooling ? "rank" : facts.embeddingPooling;
  if (pooling !== undefined) details.push(`pooling ${pooling}`);
  const tokenizer = metadata["tokenizer.ggml.model"];
  const rows = [
    ["name", name === undefined ? "(none)" : printable(name)],
    ["architecture", architecture(inspection)],
    ...inPairs(details).map((line, index) => [index === 0 ? "shape" : "", line]),
    [
      "vocabulary",
      tokenizer === undefined
        ? formatInteger(facts.vocabSize)
        : `${formatInteger(facts.vocabSize)}, tokenizer ${printable(String(tokenizer))}`,
    ],
    ["tensors", `${formatInteger(inspection.tensors)} with ${formatInteger(inspection.elements)} weights`],
    [
      "file",
      `${formatBytes(inspection.fileBytes)}${shards.length > 1 ? `, ${shards.length} shards` : ""}, GGUF version ${inspection.ggufVersion}`,
    ],
    ["type", `${fileType ?? "(not said)"}, ${inspection.bpw.toFixed(4)} bits per weight`],
  ];
  return formatTable([{ header: "MODEL" }, { header: printable(inspection.path) }], rows, width);
}

/** An architecture whose required tensors are not known here is said to be unchecked: no finding then means nothing. */
function architecture({ arch, facts, tensorsChecked }: Inspection): string {
  if (arch === "") return "(none)";
  const unchecked = tensorsChecked || arch === "clip" ? "" : "; its list of tensors is not checked";
  return `${printable(arch)}, ${facts.layers} layers${unchecked}`;
}

/** Lines of at most four details. */
function inPairs(details: readonly string[]): string[] {
  const lines: string[] = [];
  for (let first = 0; first < details.length; first += 4) lines.push(details.slice(first, first + 4).join(", "));
  return lines;
}

function classTable({ classes, tensorBytes }: Inspection, width: number): string {
  return formatTable(
    [
      { header: "class" },
      { header: "n", align: "right" },
      { header: "weights", align: "right", drop: 1 },
      { header: "bytes", align: "right" },
      { header: "share", align: "right", drop: 2 },
      { header: "types" },
      { header: "quantized" },
    ],
    classes.map((members) => [
      cut(printable(members.class)),
      formatInteger(members.tensors),
      formatInteger(members.elements),
      formatInteger(members.bytes),
      formatPercent(members.bytes / Math.max(1, tensorBytes)),
      Object.entries(members.types)
        .map(([type, count]) => (count === members.tensors ? type : `${count}x${type}`))
        .join(" "),
      members.eligible ? "yes" : `no: ${members.ineligibleReason}`,
    ]),
    width,
  );
}

function presetTable({ presets }: Inspection): string {
  return formatTable(
    [
      { header: "as" },
      { header: "file bytes", align: "right" },
      { header: "", align: "right" },
      { header: "bits per weight", align: "right" },
    ],
    presets.map(({ fileType, fileBytes, bpw }) => [
      fileType,
      formatInteger(fileBytes),
      formatSize(fileBytes),
      bpw.toFixed(4),
    ]),
  );
}

function cut(name: string): string {
  return name.length <= CLASS_WIDTH ? name : `${name.slice(0, CLASS_WIDTH - 3)}...`;
}
