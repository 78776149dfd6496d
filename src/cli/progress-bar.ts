/** One line on a terminal that is drawn over itself: bar, count, rate, time left, what was done last. */
import { printable } from "../plan/printable.ts";

const BAR_WIDTH = 24;
/** Milliseconds between two drawings. */
const INTERVAL_MS = 100;
const CLEAR_LINE = "\r\u001b[K";

export class ProgressBar {
  readonly #stream: NodeJS.WriteStream;
  readonly #stage: string;
  readonly #total: number;
  readonly #started = performance.now();
  #drawn = Number.NEGATIVE_INFINITY;
  #ended = false;

  constructor(stream: NodeJS.WriteStream, stage: string, total: number) {
    this.#stream = stream;
    this.#stage = stage;
    this.#total = total;
    this.update(0);
  }

  update(done: number, label = ""): void {
    const now = performance.now();
    if (this.#ended || (now - this.#drawn < INTERVAL_MS && done < this.#total)) return;
    this.#drawn = now;
    const line = renderProgress(this.#stage, done, this.#total, (now - this.#started) / 1000, label);
    // a line that reaches the last column wraps, and can't be drawn over
    this.#stream.write(CLEAR_LINE + line.slice(0, (this.#stream.columns || 80) - 1));
  }

  /** Make room for a line of text; the next update draws again. */
  clear(): void {
    if (this.#ended) return;
    this.#stream.write(CLEAR_LINE);
    this.#drawn = Number.NEGATIVE_INFINITY;
  }

  end(): void {
    this.clear();
    this.#ended = true;
  }
}

/** The text of the line after `seconds` seconds. */
export function renderProgress(stage: string, done: number, total: number, seconds: number, label: string): string {
  const filled = total === 0 ? BAR_WIDTH : Math.floor((BAR_WIDTH * Math.min(done, total)) / total);
  const bar = `[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}]`;
  const parts = [stage, bar, `${done}/${total}`];
  if (done > 0 && seconds > 0) {
    const rate = done / seconds;
    parts.push(rate >= 1 ? `${rate.toFixed(1)}/s` : `${(1 / rate).toFixed(1)} s each`);
    if (done < total) parts.push(`${formatDuration((total - done) / rate)} left`);
  }
  if (label !== "") parts.push(printable(label));
  return parts.join("  ");
}

/** `8 s`, `3 min 20 s`, `2 h 05 min`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}
