/** The time that a run may take (`--max-time`): when it is over the run ends in order, with what it has. */
import { StoppedError, UsageError } from "../errors.ts";

export interface Deadline {
  /** As it was asked for: "2h". */
  readonly text: string;
  /** Aborted when the time is over, with a StoppedError. */
  readonly signal: AbortSignal;
  /** Milliseconds left. */
  leftMs(): number;
}

/** Node's timers count no further: 24 days. */
const MOST_MS = 2 ** 31 - 1;

/** The time begins now. Throws UsageError where it is more than a timer counts. */
export function deadlineAfter(maxMs: number, text: string): Deadline {
  if (maxMs > MOST_MS) throw new UsageError(`--max-time ${text}: at most 24 days; leave it out for no limit`);
  const ends = performance.now() + maxMs;
  const controller = new AbortController();
  const isOver = () =>
    controller.abort(new StoppedError(`--max-time ${text} was over before anything was begun; give it longer`));
  setTimeout(isOver, maxMs).unref();
  return { text, signal: controller.signal, leftMs: () => Math.max(0, ends - performance.now()) };
}

/** Milliseconds that are left; without a deadline there is no end of them. */
export function leftMs(deadline: Pick<Deadline, "leftMs"> | undefined): number {
  return deadline?.leftMs() ?? Number.POSITIVE_INFINITY;
}

/** How long work of one kind takes: nothing is begun that the time is too short for, as far as others of it tell. */
export interface Pace {
  /** Do it, and know how long it took. */
  timed<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Whether so many more, each like the longest, would not be finished. */
  isShort(more: number): boolean;
  /** Whether another would not be finished, even if it is like the shortest. */
  isHopeless(): boolean;
}

export function paceWithin(deadline: Pick<Deadline, "leftMs"> | undefined): Pace {
  const taken: number[] = [];
  return {
    async timed(work) {
      const before = performance.now();
      const result = await work();
      taken.push(performance.now() - before);
      return result;
    },
    isShort: (more) => more * Math.max(0, ...taken) > leftMs(deadline),
    isHopeless: () => taken.length > 0 && Math.min(...taken) > leftMs(deadline),
  };
}
