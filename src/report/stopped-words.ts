/** What a run says whose time was over (`--max-time`). */
import { printable } from "../plan/printable.ts";
import type { Run } from "../run/run-document.ts";

/** A sentence; undefined for a run that was not stopped. */
export function stoppedInWords({ stopped, rows }: Pick<Run, "stopped" | "rows">): string | undefined {
  if (stopped === undefined) return undefined;
  const { stage, maxTime, cutShort, missing } = stopped;
  const hasPlan = rows.some(({ kind }) => kind === "plan");
  const what = [
    ...(cutShort ? ["the sizes were not searched to their end"] : []),
    ...(hasPlan ? [] : ["no file of the plan was judged"]),
    ...(hasPlan && missing.length > 0 ? [`without ${missing.map(printable).join(", ")}`] : []),
  ];
  const left = what.length === 0 ? "" : `: ${what.join(", ")}`;
  return `stopped by --max-time ${printable(maxTime)} in the stage "${stage}"${left}; the same command with a longer time goes on`;
}
