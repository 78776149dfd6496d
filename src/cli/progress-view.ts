/** How progress is shown: a bar that is drawn over itself, or lines for whoever reads a log. */
import type { ProgressEvent } from "./progress-model.ts";

export interface ProgressView {
  /** How far it is now; as often as anything is known. */
  show(event: ProgressEvent): void;
  /** A stage is over, after so many seconds. */
  endStage(event: ProgressEvent, seconds: number): void;
  /** A line of text comes: make room for it. */
  clear(): void;
  end(): void;
}

/** Shows nothing. */
export const NO_VIEW: ProgressView = {
  show: () => undefined,
  endStage: () => undefined,
  clear: () => undefined,
  end: () => undefined,
};

/** Seconds after which a line is written, whatever happened. */
const SILENCE_SECONDS = 29;

/** A line for each thing that is begun, and one every half minute. `now` counts seconds. */
export function lineView(write: (line: string) => void, now = () => performance.now() / 1000): ProgressView {
  let begun = "";
  let said = Number.NEGATIVE_INFINITY;
  return {
    ...NO_VIEW,
    show(event) {
      const beginning = `${event.stage} ${event.label} ${event.part} ${event.parts > 1 ? event.phase : ""}`;
      if (beginning === begun && now() - said < SILENCE_SECONDS) return;
      const first = beginning !== begun;
      begun = beginning;
      said = now();
      write(first ? describeBeginning(event) : describeProgress(event));
    },
    endStage(event, seconds) {
      if (event.stage !== undefined) write(describeEnd(event, seconds));
      said = now();
    },
  };
}

/** "step 5 of 6, files: 3 of 12, Q3_K_M: evaluating, about 2 min left". */
export function describeBeginning(event: ProgressEvent): string {
  if (event.stage === undefined) return event.label;
  const words = [event.doing, ...(event.secondsLeft === undefined ? [] : [leftOf(event)])].filter(
    (word) => word !== "",
  );
  return [titleOf(event), words.join(", ")].filter((part) => part !== "").join(": ");
}

/** "step 3 of 7, probes: 45 %, about 2 min left (12 of 40, blk.3.ffn_up)". */
export function describeProgress(event: ProgressEvent): string {
  const doing = event.doing === "" ? "" : ` (${event.doing})`;
  const left = leftOf(event);
  return `${titleOf(event)}: ${percentOf(event.share)}${left === "" ? "" : `, ${left}`}${doing}`;
}

/** "step 3 of 7, probes: done in 40 s". */
export function describeEnd(event: ProgressEvent, seconds: number): string {
  return `${titleOf(event)}: done in ${formatDuration(seconds)}`;
}

export function titleOf({ stage, of, label }: ProgressEvent): string {
  return stage === undefined ? label : `step ${stage} of ${of}, ${label}`;
}

export function percentOf(share: number): string {
  return `${Math.floor(100 * share)} %`;
}

export function leftOf({ secondsLeft }: ProgressEvent): string {
  return secondsLeft === undefined ? "" : `about ${roughDuration(secondsLeft)} left`;
}

/** As rough as a forecast is: "5 s", "40 s", "3 min", "2 h 20 min". */
export function roughDuration(seconds: number): string {
  if (seconds < 10) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 55) return `${5 * Math.ceil(seconds / 5)} s`;
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min`;
  const tens = Math.round(seconds / 600);
  return `${Math.floor(tens / 6)} h ${String((tens % 6) * 10).padStart(2, "0")} min`;
}

/** `8 s`, `3 min 20 s`, `2 h 05 min`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}
