/** The difference of two plans as text: totals, classes, then the tensors. */

import { formatAmount, formatAmountDelta, formatDelta, formatInteger } from "../../numbers.ts";
import type { PlanDiff, TensorChange } from "../../plan/diff.ts";
import { printable } from "../../plan/printable.ts";
import { formatTable } from "./table.ts";
import { TERMINAL_WIDTH } from "./wrap-words.ts";

export interface DiffTableOptions {
  /** Tensor lines before the rest is only counted. Default: 40. */
  readonly maxTensors?: number;
  /** Columns. Default: 80. */
  readonly width?: number;
}

/** Render a diff. Ends with a line break. */
export function renderDiffTable(diff: PlanDiff, options: DiffTableOptions = {}): string {
  const blocks = [totals(diff)];
  if (!diff.sameModel) blocks.unshift("! these are plans of different models");
  if (diff.changes.length === 0) blocks.push("no tensor changes its type");
  else blocks.push(classTable(diff), tensorTable(diff.changes, options));
  if (!diff.comparable)
    blocks.push("losses are not compared: the plans go by different sensitivities or importance matrices");
  const missing = [
    ...diff.onlyBefore.map((name) => `- ${printable(name)}`),
    ...diff.onlyAfter.map((name) => `+ ${printable(name)}`),
  ];
  if (missing.length > 0) blocks.push(missing.join("\n"));
  return `${blocks.join("\n\n")}\n`;
}

function totals({ before, after, comparable }: PlanDiff): string {
  const rows = [
    [
      "file bytes",
      formatInteger(before.fileBytes),
      formatInteger(after.fileBytes),
      formatDelta(after.fileBytes - before.fileBytes),
    ],
    ["bits per weight", before.bpw.toFixed(4), after.bpw.toFixed(4), signed(after.bpw - before.bpw, 4)],
  ];
  if (comparable) {
    rows.push([
      "loss",
      formatAmount(before.loss),
      formatAmount(after.loss),
      formatAmountDelta(after.loss - before.loss),
    ]);
  }
  return formatTable(
    [
      { header: "" },
      { header: "before", align: "right" },
      { header: "after", align: "right" },
      { header: "change", align: "right" },
    ],
    rows,
  );
}

function classTable({ classes }: PlanDiff): string {
  return formatTable(
    [
      { header: "class" },
      { header: "changed", align: "right" },
      { header: "bytes", align: "right" },
      { header: "loss", align: "right" },
    ],
    classes.map((change) => [
      printable(change.class),
      `${change.changed} of ${change.tensors}`,
      formatDelta(change.bytesDelta),
      change.lossDelta === undefined ? "" : formatAmountDelta(change.lossDelta),
    ]),
  );
}

function tensorTable(
  changes: readonly TensorChange[],
  { maxTensors = 40, width = TERMINAL_WIDTH }: DiffTableOptions,
): string {
  const table = formatTable(
    [
      { header: "tensor" },
      { header: "from" },
      { header: "to" },
      { header: "bytes", align: "right" },
      { header: "loss", align: "right" },
    ],
    changes
      .slice(0, maxTensors)
      .map(({ name, from, to, bytesDelta, lossDelta }) => [
        printable(name),
        from,
        to,
        formatDelta(bytesDelta),
        lossDelta === undefined ? "" : formatAmountDelta(lossDelta),
      ]),
    width,
  );
  const more = changes.length - maxTensors;
  return more > 0 ? `${table}\nand ${more} more` : table;
}

function signed(value: number, digits: number): string {
  return `${value > 0 ? "+" : ""}${value.toFixed(digits)}`;
}
