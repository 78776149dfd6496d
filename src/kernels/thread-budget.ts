/** Threads shared by calls that may overlap: each takes what its work is worth of those that are free, in order. */

interface Waiting {
  readonly worth: number;
  readonly start: (threads: number) => void;
}

export class ThreadBudget {
  readonly #threads: number;
  readonly #queue: Waiting[] = [];
  #free: number;
  #whenIdle: (() => void)[] = [];

  constructor(threads: number) {
    this.#threads = threads;
    this.#free = threads;
  }

  /** Run work with 1 to `worth` threads, once one is free. */
  async run<Result>(worth: number, work: (threads: number) => Promise<Result>): Promise<Result> {
    const threads = await new Promise<number>((start) => {
      this.#queue.push({ worth, start });
      this.#dispatch();
    });
    try {
      return await work(threads);
    } finally {
      this.#free += threads;
      this.#dispatch();
    }
  }

  /** Wait until nothing runs or waits. */
  async idle(): Promise<void> {
    if (this.#isIdle()) return;
    await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #isIdle(): boolean {
    return this.#queue.length === 0 && this.#free === this.#threads;
  }

  #dispatch(): void {
    while (this.#free > 0) {
      const next = this.#queue.shift();
      if (next === undefined) break;
      const threads = Math.max(1, Math.min(next.worth, this.#free));
      this.#free -= threads;
      next.start(threads);
    }
    if (this.#isIdle()) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}
