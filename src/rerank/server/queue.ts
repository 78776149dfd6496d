/** One piece of work after another, and a bounded line of those that wait; who leaves gives the place free. */
import { PrismError } from "../../errors.ts";

/** The line is full or closed: come back in `retrySeconds`. */
export class BusyError extends PrismError {
  readonly retrySeconds: number;
  /** Closed for good, not only full. */
  readonly closing: boolean;

  constructor(message: string, retrySeconds: number, closing: boolean) {
    super("busy", 1, message);
    this.retrySeconds = retrySeconds;
    this.closing = closing;
  }
}

interface Waiting {
  readonly start: () => void;
  readonly refuse: (error: Error) => void;
}

/** Seconds until it is worth asking again: the queue's own pace, within these bounds. */
const RETRY_SECONDS = { least: 1, most: 60 };
/** Weight of the last piece of work in the mean duration. */
const LAST_WEIGHT = 0.3;

export class Queue {
  readonly #limit: number;
  readonly #waiting: Waiting[] = [];
  #running = false;
  #closed = false;
  #meanSeconds = 1;

  /** `limit` may wait beside the one that runs. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Throws BusyError where nobody may come: before a body is read for nothing. */
  checkRoom(): void {
    if (this.#closed || (this.#running && this.#waiting.length >= this.#limit)) throw this.#busy();
  }

  /**
   * Do `work` when its turn comes. Throws BusyError at once where the line is full, the reason of `gone` where it aborts
   * while it waits; work that runs looks at `gone` itself.
   */
  async run<Result>(work: () => Promise<Result>, gone: AbortSignal): Promise<Result> {
    await this.#turn(gone);
    const start = performance.now();
    try {
      return await work();
    } finally {
      const seconds = (performance.now() - start) / 1000;
      this.#meanSeconds = (1 - LAST_WEIGHT) * this.#meanSeconds + LAST_WEIGHT * seconds;
      this.#running = false;
      this.#waiting.shift()?.start();
    }
  }

  /** Refuse all that wait, and all that come; what runs is finished. */
  close(): void {
    this.#closed = true;
    for (const { refuse } of this.#waiting.splice(0)) refuse(this.#busy());
  }

  async #turn(gone: AbortSignal): Promise<void> {
    this.checkRoom();
    gone.throwIfAborted();
    if (this.#running) await this.#wait(gone);
    this.#running = true;
  }

  #wait(gone: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        reject(gone.reason);
      };
      const entry: Waiting = {
        start: () => {
          // Taken before anybody who comes in the meantime.
          this.#running = true;
          gone.removeEventListener("abort", leave);
          resolve();
        },
        refuse: (error) => {
          gone.removeEventListener("abort", leave);
          reject(error);
        },
      };
      this.#waiting.push(entry);
      gone.addEventListener("abort", leave, { once: true });
    });
  }

  #busy(): BusyError {
    if (this.#closed) return new BusyError("the server is stopping", RETRY_SECONDS.most, true);
    const seconds = Math.ceil(this.#meanSeconds * (this.#waiting.length + 1));
    const retry = Math.min(RETRY_SECONDS.most, Math.max(RETRY_SECONDS.least, seconds));
    return new BusyError(`${this.#limit} requests are waiting already; come back in ${retry} s`, retry, false);
  }
}
