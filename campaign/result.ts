/** What a part of the campaign found: counted, never estimated. */

export type FailureKind = "crash" | "hang" | "memory" | "wrong";

export interface Failure {
  readonly kind: FailureKind;
  /** What makes it again: the part's seed and the case. */
  readonly id: string;
  readonly what: string;
}

export interface Result {
  readonly part: string;
  readonly seed: number;
  readonly cases: number;
  /** Cases by what was attacked, and by how they ended. */
  readonly counts: Readonly<Record<string, number>>;
  readonly failures: readonly Failure[];
  /** Work that was interrupted and then finished. */
  readonly resumed?: number;
  /** Resident memory of the largest process at its peak; absent where the system doesn't tell. */
  readonly peakBytes?: number;
  readonly seconds: number;
  /** What could not be tried here, and why. */
  readonly skipped: readonly string[];
}

/** What a part is asked. */
export interface Request {
  readonly seed: number;
  readonly count: number;
  /** The first case: one that failed is made again with its number here and a count of 1. */
  readonly first?: number | undefined;
  /** Told of every case that ended, for a person who waits. */
  readonly onCase?: ((done: number, failures: number) => void) | undefined;
  readonly onFailure?: ((failure: Failure) => void) | undefined;
}

/** Collects what the cases of a part tell. */
export class Tally {
  readonly #part: string;
  readonly #request: Request;
  readonly #started = performance.now();
  readonly #counts = new Map<string, number>();
  readonly failures: Failure[] = [];
  readonly skipped = new Set<string>();
  cases = 0;
  resumed = 0;
  peakBytes = 0;

  constructor(part: string, request: Request) {
    this.#part = part;
    this.#request = request;
  }

  count(what: string, times = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + times);
  }

  fail(kind: FailureKind, id: string, what: string): void {
    const failure = { kind, id, what: what.slice(0, 2000) };
    this.failures.push(failure);
    this.#request.onFailure?.(failure);
  }

  peak(bytes: number): void {
    this.peakBytes = Math.max(this.peakBytes, bytes);
  }

  ended(cases = 1): void {
    this.cases += cases;
    this.#request.onCase?.(this.cases, this.failures.length);
  }

  result(): Result {
    return {
      part: this.#part,
      seed: this.#request.seed,
      cases: this.cases,
      counts: Object.fromEntries([...this.#counts].sort(([a], [b]) => a.localeCompare(b, "en"))),
      failures: this.failures,
      ...(this.resumed > 0 ? { resumed: this.resumed } : {}),
      ...(this.peakBytes > 0 ? { peakBytes: this.peakBytes } : {}),
      seconds: Math.round((performance.now() - this.#started) / 100) / 10,
      skipped: [...this.skipped],
    };
  }
}
