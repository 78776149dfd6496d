/**
 * One piece of work at a time, and a bounded line of those that wait. Long work has its turn piece by piece, so that who
 * asks for little does not wait for who asks for much; among those that wait, the client that was served longest ago
 * comes first. Who leaves gives the place free.
 */
import { PrismError } from "../errors.ts";
import type { Turn, Work } from "./endpoint.ts";

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

export interface Comer {
  /** Aborts when the client hangs up. */
  readonly gone: AbortSignal;
  /** Who asks: an address. */
  readonly client: string;
}

interface Waiting extends Comer {
  /** It had its turn before: it waits beside the line, and is finished even where the line is closed. */
  readonly begun: boolean;
  readonly start: () => void;
  readonly refuse: (error: Error) => void;
}

/** Seconds until it is worth asking again: the queue's own pace, within these bounds. */
const RETRY_SECONDS = { least: 1, most: 60 };
/** Weight of the last piece of work in the mean duration. */
const LAST_WEIGHT = 0.3;
/** Milliseconds of a turn while others wait: changing turns can cost the engine a new context. */
const TURN_MS = 1000;
/** Pieces of work that are begun and not finished: each holds its prompts. */
const MOST_BEGUN = 4;

export class Queue {
  readonly #limit: number;
  readonly #turnMs: number;
  #waiting: Waiting[] = [];
  /** When each client had its last turn, counted in turns; emptied when nobody waits. */
  readonly #served = new Map<string, number>();
  #turns = 0;
  #begun = 0;
  #running = false;
  #closed = false;
  #meanSeconds = 1;

  /** `limit` may wait beside the one that runs. */
  constructor(limit: number, turnMs = TURN_MS) {
    this.#limit = limit;
    this.#turnMs = turnMs;
  }

  /** Of those that had no turn yet. */
  get waiting(): number {
    return this.#waiting.filter(({ begun }) => !begun).length;
  }

  /** Throws BusyError where nobody may come: before a body is read for nothing. */
  checkRoom(): void {
    if (this.#closed || (this.#running && this.waiting >= this.#limit)) throw this.#busy();
  }

  /**
   * Do `work` when its turn comes. Throws BusyError at once where the line is full, the reason of `gone` where it aborts
   * while it waits; work that runs looks at `gone` itself.
   */
  async run(work: Work, comer: Comer): Promise<object> {
    this.checkRoom();
    comer.gone.throwIfAborted();
    if (this.#running) await this.#wait(comer, false);
    else this.#start(comer);
    this.#begun++;
    let since = performance.now();
    let spentMs = 0;
    let holds = true;
    const leave = () => {
      holds = false;
      spentMs += performance.now() - since;
      this.#passOn();
    };
    const turn: Turn = {
      gone: comer.gone,
      pause: async () => {
        comer.gone.throwIfAborted();
        if (performance.now() - since < this.#turnMs || this.#next() === undefined) return;
        const again = this.#wait(comer, true);
        leave();
        await again;
        holds = true;
        since = performance.now();
      },
    };
    try {
      return await work(turn);
    } finally {
      this.#begun--;
      if (holds) leave();
      this.#meanSeconds = (1 - LAST_WEIGHT) * this.#meanSeconds + (LAST_WEIGHT * spentMs) / 1000;
    }
  }

  /** Refuse all that wait, and all that come; what is begun is finished. */
  close(): void {
    this.#closed = true;
    const refused = this.#waiting.filter(({ begun }) => !begun);
    this.#waiting = this.#waiting.filter(({ begun }) => begun);
    for (const { refuse } of refused) refuse(this.#busy());
  }

  #start({ client }: Comer): void {
    this.#running = true;
    this.#served.set(client, ++this.#turns);
  }

  #passOn(): void {
    this.#running = false;
    const next = this.#next();
    if (next === undefined) this.#served.clear();
    else next.start();
  }

  /** Who comes next; the first of those whose client was served longest ago. */
  #next(): Waiting | undefined {
    const able = this.#waiting.filter(({ begun }) => begun || this.#begun < MOST_BEGUN);
    const last = ({ client }: Waiting) => this.#served.get(client) ?? 0;
    return able.reduce<Waiting | undefined>(
      (best, each) => (best === undefined || last(each) < last(best) ? each : best),
      undefined,
    );
  }

  #wait(comer: Comer, begun: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#remove(entry);
        reject(comer.gone.reason);
      };
      const entry: Waiting = {
        ...comer,
        begun,
        start: () => {
          this.#remove(entry);
          // Taken before anybody who comes in the meantime.
          this.#start(comer);
          comer.gone.removeEventListener("abort", leave);
          resolve();
        },
        refuse: (error) => {
          comer.gone.removeEventListener("abort", leave);
          reject(error);
        },
      };
      this.#waiting.push(entry);
      comer.gone.addEventListener("abort", leave, { once: true });
    });
  }

  #remove(entry: Waiting): void {
    this.#waiting = this.#waiting.filter((each) => each !== entry);
  }

  #busy(): BusyError {
    if (this.#closed) return new BusyError("the server is stopping", RETRY_SECONDS.most, true);
    const seconds = Math.ceil(this.#meanSeconds * (this.waiting + 1));
    const retry = Math.min(RETRY_SECONDS.most, Math.max(RETRY_SECONDS.least, seconds));
    return new BusyError(`${this.#limit} requests are waiting already; come back in ${retry} s`, retry, false);
  }
}
