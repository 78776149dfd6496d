/** A prior as text: its models, and how well each is predicted by the others. */
import { printable } from "../../plan/printable.ts";
import type { Prior } from "../../sensitivity/sensitivity-prior.ts";
import { formatTable } from "./table.ts";
import { fitLines, TERMINAL_WIDTH } from "./wrap-words.ts";

/** Render it. Ends with a line break. */
export function renderPrior({ version, credit, source, measured = [] }: Prior, width = TERMINAL_WIDTH): string {
  const rows = measured.map(({ name, arch, elements, kinds, leftOut }) => [
    `${source?.models.includes(name) ? " " : "+"} ${printable(name)}`,
    printable(arch),
    `${Number((elements / 1e9).toPrecision(3))}e9`,
    `${kinds.length}`,
    leftOut?.correlation?.toFixed(2) ?? "-",
    leftOut?.sd.toFixed(2) ?? "-",
    leftOut?.share === undefined ? "-" : `${leftOut.share.toFixed(0)} %`,
  ]);
  const right = "right" as const;
  const columns = ["weights", "kinds", "r", "sd", "share"].map((header) => ({ header, align: right }));
  const lines = [
    `prior ${printable(version)}: ${measured.length} models`,
    ...(rows.length === 0
      ? []
      : ["", formatTable([{ header: "  model" }, { header: "architecture" }, ...columns], rows, width)]),
    "",
    ...(rows.length === 0 ? [] : [fitLines(LEGEND, width)]),
    ...(credit === undefined ? [] : [fitLines(printable(credit), width)]),
  ];
  return `${lines.join("\n")}\n`;
}

const LEGEND =
  "Each model as the prior of all others predicts it: r and sd of ln density over its kinds of tensors, and the share of the " +
  "gain over weighing all alike that its own densities would give. + was added to the models that come with PRISM.";
