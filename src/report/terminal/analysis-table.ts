/** An analysis as text: the seven metrics and the distortion per tensor class, and what it took. */

import type { Analysis, TensorAnalysis } from "../../analyze/analysis.ts";
import { METRIC_TABLE } from "../../analyze/metric-table.ts";
import { COMMON_TYPES } from "../../ggml/candidates.ts";
import { isFloatType, TENSOR_TYPE_NAMES, type TensorType } from "../../ggml/tensor-types.ts";
import { formatAmount, formatInteger, formatPercent, formatSize } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";
import { formatTable } from "./table.ts";
import { fitLines, TERMINAL_WIDTH } from "./wrap-words.ts";

/** Characters of a class name before it is cut. */
const CLASS_WIDTH = 20;
const ABSENT = "-";

/** Types shown, as many as fit; those of 32-element blocks only where a class can't have the others. */
const SMALL_BLOCK: readonly TensorType[] = ["Q4_0", "Q5_0"];

const DISTORTION_LEGEND = "(squared error of the weights as each type stores them, relative to their squares)";

/** What a narrow terminal leaves out, the last first: types between others. */
const DROPPED: readonly TensorType[] = ["Q3_K", "Q5_0", "Q5_K", "IQ4_XS"];

/** Render an analysis. Ends with a line break. */
export function renderAnalysisTable(analysis: Analysis, width = TERMINAL_WIDTH): string {
  const meanings = METRIC_TABLE.map(({ header, legend }) => `${header}: ${legend}`).join("; ");
  const legend = [`(${meanings})`, ...whyAbsent(analysis)].map((line) => fitLines(line, width)).join("\n");
  const blocks = [
    heading(analysis, width),
    `${metricTable(analysis, width)}\n${legend}`,
    `${distortionTable(analysis, width)}\n${fitLines(DISTORTION_LEGEND, width)}`,
  ];
  return `${blocks.join("\n\n")}\n`;
}

function heading({ model, sampling, tensors, imatrix, feedback, backend, engine }: Analysis, width: number): string {
  const measured = tensors.filter(({ eligible }) => eligible);
  const worst = worstSe(measured);
  const how = [
    `metrics ${sampling.exactMetrics ? "exact" : "sampled"}`,
    `distortion ${sampling.exactDistortion ? "exact" : "sampled"}`,
    `seed ${sampling.seed}`,
    `backend ${backend}`,
    `llama.cpp ${engine.version}`,
  ];
  const rows = [
    ["measured", `${measured.length} of ${tensors.length} tensors in ${(sampling.elapsedMs / 1000).toFixed(1)} s`],
    [
      "read",
      `${formatSize(sampling.bytesRead)}, ${formatPercent(sampling.bytesRead / Math.max(1, model.fileBytes))} of the file`,
    ],
    ["how", how.join(", ")],
    ...(imatrix ? [["imatrix", `${printable(imatrix.file)}, ${imatrix.entries} entries`]] : []),
    ...(feedback ? [["feedback", `measured; text: ${printable(feedback.text)}`]] : []),
    ...(worst
      ? [
          [
            "worst SE",
            `${formatPercent(worst.relativeSe)} of the distortion of ${printable(worst.name)} in ${worst.type}`,
          ],
        ]
      : []),
  ];
  return formatTable([{ header: "ANALYSIS" }, { header: printable(model.name ?? model.path) }], rows, width);
}

/** The least precise distortion, of the types that were not dropped: standard error relative to the value. */
function worstSe(tensors: readonly TensorAnalysis[]): { name: string; type: string; relativeSe: number } | undefined {
  let worst: { name: string; type: string; relativeSe: number } | undefined;
  for (const { name, distortion } of tensors) {
    for (const [type, { value, se, dominatedBy }] of Object.entries(distortion ?? {})) {
      if (isFloatType(type as TensorType) || value === 0 || dominatedBy !== undefined) continue;
      if (worst === undefined || se / value > worst.relativeSe) worst = { name, type, relativeSe: se / value };
    }
  }
  return worst;
}

function metricTable({ classes }: Analysis, width: number): string {
  return formatTable(
    [
      { header: "METRICS" },
      { header: "n", align: "right", drop: 1 },
      { header: "weights", align: "right", drop: 2 },
      ...METRIC_TABLE.map(({ header }) => ({ header, align: "right" as const })),
    ],
    classes.map((summary) => [
      cut(summary.class),
      formatInteger(summary.tensors),
      formatInteger(summary.elements),
      ...METRIC_TABLE.map((metric) => summary.metrics[metric.summary]?.toFixed(3) ?? ABSENT),
    ]),
    width,
  );
}

/** A line where tensors have no metric at all: why, and how many. */
function whyAbsent({ tensors }: Analysis): string[] {
  const counts = new Map<string, number>();
  for (const { eligible, metrics, omitted } of tensors) {
    const reason = eligible && metrics === undefined ? omitted?.osqe : undefined;
    if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return [...counts].map(
    ([reason, count]) =>
      `${ABSENT}: ${formatInteger(count)} ${count === 1 ? "tensor" : "tensors"} without metrics: ${reason}`,
  );
}

function distortionTable({ classes, tensors }: Analysis, width: number): string {
  const means = classes.map((summary) => ({
    name: summary.class,
    distortion: meanDistortion(tensors.filter((tensor) => tensor.eligible && tensor.class === summary.class)),
  }));
  const types = shownTypes(means.map(({ distortion }) => distortion));
  return formatTable(
    [
      { header: "DISTORTION" },
      ...types.map((type) => ({ header: type, align: "right" as const, drop: DROPPED.indexOf(type) + 1 })),
    ],
    means.map(({ name, distortion }) => [
      cut(name),
      ...types.map((type) => {
        const value = distortion.get(type);
        return value === undefined ? ABSENT : formatAmount(value);
      }),
    ]),
    width,
  );
}

/** Element-weighted mean D per type that every member has. */
function meanDistortion(members: readonly TensorAnalysis[]): Map<TensorType, number> {
  const means = new Map<TensorType, number>();
  const elements = members.reduce((sum, tensor) => sum + tensor.elements, 0);
  for (const type of TENSOR_TYPE_NAMES) {
    const values = members.map((tensor) => ({ elements: tensor.elements, value: tensor.distortion?.[type]?.value }));
    if (values.some(({ value }) => value === undefined)) continue;
    const total = values.reduce((sum, { elements: own, value = 0 }) => sum + own * value, 0);
    if (elements > 0) means.set(type, total / elements);
  }
  return means;
}

function shownTypes(classes: readonly ReadonlyMap<TensorType, number>[]): TensorType[] {
  const someWithout = classes.some((means) => !means.has("Q4_K"));
  const wanted = someWithout ? [...COMMON_TYPES.filter((type) => type !== "IQ4_XS"), ...SMALL_BLOCK] : COMMON_TYPES;
  return wanted.filter((type) => classes.some((means) => means.has(type)));
}

function cut(name: string): string {
  const clean = printable(name);
  return clean.length <= CLASS_WIDTH ? clean : `${clean.slice(0, CLASS_WIDTH - 3)}...`;
}
