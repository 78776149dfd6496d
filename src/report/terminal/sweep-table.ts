/** The front of a sweep as text: the survivors by size, what was predicted, and what a quality took to find. */

import { formatInteger, formatSize } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";
import type { CodedMember, Run, RunRow, Sweep, SweepPoint, TargetResult } from "../../run/run-document.ts";
import { shownLabel } from "../../run/shown-label.ts";
import { formatMeanSe } from "./mean-se.ts";
import { formatTable } from "./table.ts";
import { fitLines, TERMINAL_WIDTH } from "./wrap-words.ts";

/** Render the sweep and the target of a run; empty where it had none. */
export function renderSweep(
  { rows, sweep, target }: Pick<Run, "rows" | "sweep" | "target">,
  width = TERMINAL_WIDTH,
): string[] {
  return [
    ...(sweep === undefined ? [] : renderFront(sweep, rows, width)),
    ...(target === undefined ? [] : [fitLines(targetLine(target), width)]),
  ];
}

function renderFront(sweep: Sweep, rows: readonly RunRow[], width: number): string[] {
  const coded = sweep.points.flatMap(({ feedback }) => feedback ?? []);
  const measured: readonly (SweepPoint | CodedMember | RunRow)[] = [...sweep.points, ...coded, ...rows];
  const front = sweep.survivors.flatMap((label) => measured.find((point) => point.label === label) ?? []);
  const ratios = new Map(sweep.calibration?.ratios.map(({ label, ratio }) => [label, ratio]));
  const table = formatTable(
    [
      { header: "on the front" },
      { header: "size", align: "right" },
      { header: "bpw", align: "right", drop: 1 },
      { header: "KLD (nats)", align: "right" },
      { header: "measured ÷ predicted", align: "right", drop: 2 },
      { header: "" },
    ],
    front.map((point) => [
      printable(shownLabel(point.label)),
      formatSize(point.fileBytes),
      point.bpw.toFixed(3),
      point.kld === undefined ? "-" : formatMeanSe({ value: point.kld.mean, se: point.kld.se }),
      ratios.get(point.label)?.toFixed(2) ?? "",
      point.label === sweep.knee ? "< knee" : "",
    ]),
    width,
  );
  const beaten = measured.filter(({ label, kld }) => kld !== undefined && !sweep.survivors.includes(label));
  const presets = beaten.filter((point) => "kind" in point && point.kind === "preset").map(({ label }) => label);
  return [
    "",
    table,
    ...(presets.length === 0 ? [] : [fitLines(`beaten by smaller or equal files: ${presets.join(", ")}`, width)]),
  ];
}

function targetLine({ measure, limit, fileBytes, value, se, evaluations }: TargetResult): string {
  const name = measure === "kld" ? "KLD" : "PPL ratio";
  return `${name} ${formatMeanSe({ value, se })} meets ${limit} with a standard error to spare: ${formatInteger(fileBytes)} bytes, found with ${evaluations} evaluations`;
}
