/** Shows the progress of a command: a line for each note, and a bar for what counts its steps. */
import type { Progress } from "../bench.ts";
import { printable } from "../plan/printable.ts";
import type { Bar, Output } from "./output.ts";

/** The name and unit of steps that get a line of their own where there is no terminal; undefined for the others. */
export type Announce = (what: string) => { readonly stage: string; readonly unit: string } | undefined;

export interface FollowedProgress extends Progress {
  /** Take the bar away. */
  end(): void;
}

/** Follow a command's progress on `output`. */
export function followProgress(
  output: Pick<Output, "note" | "progress" | "bar">,
  announce: Announce = () => undefined,
): FollowedProgress {
  let shown: { what: string; bar: Bar } | undefined;
  const end = () => {
    shown?.bar.end();
    shown = undefined;
  };
  return {
    // names from files may hold control characters
    note(text) {
      end();
      output.note(text.split("\n").map(printable).join("\n"));
    },
    steps(what, done, total, latest) {
      if (shown?.what !== what) {
        end();
        const announced = announce(what);
        const bar = announced ? output.progress(announced.stage, total, announced.unit) : output.bar(what, total);
        shown = { what, bar };
      }
      shown.bar.update(done, latest);
    },
    end,
  };
}
