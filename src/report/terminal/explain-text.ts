/** The explanation of one tensor as text. */

import {
  formatAmount,
  formatAmountDelta,
  formatBytes,
  formatDelta,
  formatInteger,
  formatPercent,
} from "../../numbers.ts";
import type { Explanation } from "../../plan/explain.ts";
import type { Constraint } from "../../plan/plan.ts";
import { printable } from "../../plan/printable.ts";
import { REASON_WORDS } from "../reason-words.ts";
import { formatTable } from "./table.ts";
import { TERMINAL_WIDTH } from "./wrap-words.ts";

/** Of 80 columns. */
const LEGEND = "(D: the type's relative squared error; loss: sensitivity × D; * is chosen)";

/** Render an explanation. Ends with a line break. */
export function renderExplanation(explanation: Explanation, width = TERMINAL_WIDTH): string {
  const { tensor, byteShare, constraints, options } = explanation;
  const facts = [
    [
      "shape",
      `${tensor.shape.join(" x ")} (${formatInteger(tensor.elements)} weights, ${tensor.sourceType} in the source)`,
    ],
    ["type", `${tensor.type}: ${printable(tensor.note ?? REASON_WORDS[tensor.reason])}`],
    ["bytes", `${formatBytes(tensor.bytes)}, ${formatPercent(byteShare)} of all`],
    ...(tensor.lossShare === undefined ? [] : [["loss", `${formatPercent(tensor.lossShare)} of the plan's`]]),
    ...(tensor.sensitivity === undefined ? [] : [["sensitivity", formatAmount(tensor.sensitivity)]]),
    ...constraints.map((constraint) => ["constraint", describeConstraint(constraint)]),
  ];
  const blocks = [
    `${printable(tensor.name)}\n${formatTable([{ header: "" }, { header: "" }], facts, width).trimStart()}`,
  ];
  if (options.length > 0) blocks.push(`${optionTable(explanation, width)}\n${LEGEND}`);
  return `${blocks.join("\n\n")}\n`;
}

function optionTable({ tensor, options, lossUnit }: Explanation, width: number): string {
  const loss = (tensor.sensitivity ?? 0) * (tensor.distortion ?? 0);
  const rows = options.map((option) => [
    option.chosen ? "*" : "",
    option.type,
    option.bitsPerWeight.toFixed(4),
    formatDelta(option.bytes - tensor.bytes),
    formatAmount(option.distortion),
    formatAmount(option.loss),
    formatAmountDelta(option.loss - loss),
    option.dominated
      ? "never worth it"
      : option.type === tensor.up?.type
        ? "up"
        : option.type === tensor.down?.type
          ? "down"
          : "",
  ]);
  return formatTable(
    [
      { header: "" },
      { header: "type" },
      { header: "bpw", align: "right", drop: 1 },
      { header: "bytes +/-", align: "right" },
      { header: "D", align: "right" },
      { header: lossUnit === "relative" ? "loss" : `loss, ${lossUnit}`, align: "right" },
      { header: "loss +/-", align: "right" },
      { header: "" },
    ],
    rows,
    width,
  );
}

function describeConstraint({ kind, type, pattern, builtIn }: Constraint): string {
  return `${kind}${type ? ` ${type}` : ""} on ${printable(pattern)}${builtIn ? " (built in)" : ""}`;
}
