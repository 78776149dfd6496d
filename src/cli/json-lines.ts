/**
 * What `--progress json` writes on stderr: one JSON object a line, errors of the command line too. The process has one
 * stderr, so this is its one state: whether lines were asked for.
 */
import { writeSync } from "node:fs";
import type { ProgressLine } from "../documents/progress-line.ts";
import { asciiJson } from "../unprintable.ts";
import type { ProgressEvent } from "./progress-model.ts";
import { NO_VIEW, type ProgressView } from "./progress-view.ts";

const stderr = { isAsked: false };

/** Look for --progress json before the options are parsed: errors of parsing are lines too. */
export function expectLines(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  const last = own.findLastIndex((arg) => /^--progress(=|$)/.test(arg));
  stderr.isAsked = last >= 0 && (own[last] === "--progress" ? own[last + 1] : own[last]?.slice(11)) === "json";
  return stderr.isAsked;
}

export function linesAreAsked(): boolean {
  return stderr.isAsked;
}

type Said = Omit<ProgressLine, "schema" | "elapsedSeconds">;

/** Write a line. The process may end at once after it. */
export function writeLine(said: Said): void {
  const elapsedSeconds = rounded(performance.now() / 1000);
  const { event, ...rest } = said;
  const line: ProgressLine = { schema: "prism.progress/1", event, elapsedSeconds, ...rest };
  try {
    writeSync(process.stderr.fd, `${asciiJson(JSON.stringify(line))}\n`);
  } catch {
    // the reader went away, or is slow: the exit code says how it ended
  }
}

/** Seconds between two lines that say the same but how far it is. */
const BETWEEN_SECONDS = 1;

/** A line for each thing that is begun, and one a second as long as there is news. `now` counts seconds. */
export function jsonView(write: (said: Said) => void = writeLine, now = () => performance.now() / 1000): ProgressView {
  let begun = "";
  let said = Number.NEGATIVE_INFINITY;
  return {
    ...NO_VIEW,
    show(event) {
      const beginning = `${event.stage} ${event.label} ${event.part} ${event.phase}`;
      if (beginning === begun && now() - said < BETWEEN_SECONDS) return;
      begun = beginning;
      said = now();
      write({ event: "progress", ...inNumbers(event) });
    },
    endStage({ stage, of, label }, seconds) {
      if (stage === undefined || of === undefined) return;
      write({ event: "end", stage, of, label, seconds: rounded(seconds) });
    },
  };
}

/** Thousandths are enough for anybody. */
function inNumbers({ share, totalShare, secondsLeft, ...words }: ProgressEvent): Omit<Said, "event"> {
  return {
    ...words,
    share: rounded(share),
    totalShare: rounded(totalShare),
    ...(secondsLeft === undefined ? {} : { secondsLeft: rounded(secondsLeft) }),
  };
}

function rounded(value: number): number {
  return Math.round(1000 * value) / 1000;
}
