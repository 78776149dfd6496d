/** What a server answers to POST requests: rows of a table, each with its paths. */

/** Handed to work whose turn has come. */
export interface Turn {
  /** Aborts when the client hangs up. */
  readonly gone: AbortSignal;
  /** Called between pieces of work: lets those who wait have their turn. Throws the reason of `gone`. */
  pause(): Promise<void>;
}

/** What is left to do when a request's turn comes; returns the answer. */
export type Work = (turn: Turn) => Promise<object>;

export interface Endpoint {
  readonly paths: readonly string[];
  /** Check a request, a JSON value. Throws UsageError that names the field, BodyError for one too large. */
  prepare(value: unknown): Work;
}
