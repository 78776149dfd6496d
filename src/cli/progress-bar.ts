/** One line on a terminal that is drawn over itself: stage, bar, share, time left of all, and what is being done. */
import { wrapWords } from "../report/terminal/wrap-words.ts";
import type { ProgressEvent } from "./progress-model.ts";
import { describeEnd, leftOf, type ProgressView, percentOf, titleOf } from "./progress-view.ts";

const BAR_WIDTH = 16;
/** Milliseconds between two drawings. */
const INTERVAL_MS = 100;
const CLEAR_LINE = "\r\u001b[K";

export function barView(stream: NodeJS.WriteStream): ProgressView {
  let drawn = Number.NEGATIVE_INFINITY;
  let title = "";
  const clear = () => {
    if (drawn > 0) stream.write(CLEAR_LINE);
    drawn = Number.NEGATIVE_INFINITY;
  };
  return {
    show(event) {
      const now = performance.now();
      if (titleOf(event) === title && now - drawn < INTERVAL_MS) return;
      title = titleOf(event);
      drawn = now;
      stream.write(CLEAR_LINE + renderProgress(event, stream.columns || 80));
    },
    endStage(event, seconds) {
      clear();
      stream.write(`${describeEnd(event, seconds)}\n`);
    },
    clear,
    end: clear,
  };
}

/** The line, in at most so many columns but one: a line that reaches the last column wraps, and can't be drawn over. */
export function renderProgress(event: ProgressEvent, columns: number): string {
  const filled = Math.floor(BAR_WIDTH * event.share);
  const bar = `[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}]`;
  const parts = [titleOf(event), bar, percentOf(event.share), leftOf(event), event.doing];
  const line = parts.filter((part) => part !== "").join("  ");
  // in whole words
  const [fitted = ""] = wrapWords(line, columns - 1).split("\n");
  return fitted.slice(0, columns - 1).trimEnd();
}
