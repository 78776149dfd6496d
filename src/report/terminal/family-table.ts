/** The files of a family as text: which one to choose. */
import { formatSize } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";
import type { Run } from "../../run/run-document.ts";
import { choicesOf } from "../family-choices.ts";
import { formatMeanSe } from "./mean-se.ts";
import { formatTable } from "./table.ts";
import { fitLines, TERMINAL_WIDTH } from "./wrap-words.ts";

/** Render the table; empty for a run that keeps one plan. */
export function renderFamily(run: Pick<Run, "rows" | "sweep" | "family">, width = TERMINAL_WIDTH): string[] {
  const choices = choicesOf(run);
  if (choices.length === 0) return [];
  const table = formatTable(
    [
      { header: "which one to choose" },
      { header: "size", align: "right" },
      { header: "KLD (nats)", align: "right" },
      { header: "same top", align: "right" },
      { header: "nearest preset" },
    ],
    choices.map(({ file, row, verdict }) => [
      printable(file.replace(/\.gguf$/, "")),
      formatSize(row.fileBytes),
      row.kld === undefined ? "-" : formatMeanSe({ value: row.kld.mean, se: row.kld.se }),
      row.sameTop === undefined ? "-" : `${row.sameTop.toFixed(1)} %`,
      printable(verdict ?? "-"),
    ]),
    width,
  );
  return ["", table, ...planLine(run, width)];
}

const WHY = {
  budget: "the budget that was asked for",
  target: "the quality that was asked for",
  knee: "the knee of the family",
  nearest: "no knee: the member nearest to the default budget",
} as const;

function planLine({ family }: Pick<Run, "family">, width: number): string[] {
  if (family === undefined) return [];
  const { plan, chosen } = family;
  const which = plan === undefined ? "plan.gguf" : `plan.gguf and the controls are of ${printable(plan)}`;
  return [fitLines(`${which} (${WHY[chosen]})`, width)];
}
