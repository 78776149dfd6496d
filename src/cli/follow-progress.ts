/**
 * Shows the progress of a command: notes as they come, and how far it is as a bar on a terminal, or in lines elsewhere,
 * one at least every half minute.
 */
import type { Progress, Stage, StagePart } from "../bench.ts";
import { printable } from "../plan/printable.ts";
import type { Output } from "./output.ts";
import { ProgressModel } from "./progress-model.ts";
import type { ProgressView } from "./progress-view.ts";

/** Between two looks at the clock: what works may tell nothing for minutes. */
const TICK_MS = 1000;

export interface FollowedProgress extends Required<Progress> {
  /** Take the bar away; the last stage is over, unless the work was `cut` short. */
  end(how?: "done" | "cut"): void;
}

/** Follow a command's progress on `output`. */
export function followProgress(output: Pick<Output, "note" | "view">): FollowedProgress {
  const model = new ProgressModel();
  const view: ProgressView = output.view();
  const show = () => {
    const event = model.event();
    if (event !== undefined) view.show(event);
  };
  const timer = setInterval(show, TICK_MS);
  timer.unref();
  let stage = "";
  const endStage = () => {
    const event = model.event();
    if (stage !== "" && event !== undefined) view.endStage(event, model.stageSeconds);
  };
  return {
    // names from files may hold control characters
    note(text) {
      output.note(text.split("\n").map(printable).join("\n"));
    },
    steps(what, done, total, latest) {
      model.steps(printable(what), done, total, latest === undefined ? undefined : printable(latest));
      show();
    },
    stages(ahead: readonly Stage[]) {
      model.expect(ahead);
    },
    begin(name: string, part?: StagePart) {
      if (name !== stage) endStage();
      stage = name;
      model.begin(name, part);
      // what is done to a part follows at once
      if (part === undefined) show();
    },
    end(how = "done") {
      clearInterval(timer);
      if (how === "done") endStage();
      stage = "";
      view.end();
    },
  };
}
