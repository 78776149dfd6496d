/** Shows the stages of a long command: a line for each, and a bar for what counts its steps. */
import type { Output, Progress } from "./output.ts";

/** Follow stages on `output`; the functions are what runs and evaluations report to. */
export function followStages(output: Output) {
  let shown: { what: string; progress: Progress } | undefined;
  const end = () => {
    shown?.progress.end();
    shown = undefined;
  };
  return {
    begin(stage: string) {
      end();
      output.note(stage);
    },
    update(what: string, done: number, total: number) {
      if (shown?.what !== what) {
        end();
        shown = { what, progress: output.bar(what, total) };
      }
      shown.progress.update(done);
    },
    end,
  };
}
