/** What a server works with, opened again after its engine failed or its process ended: one bad request must not end a server. */
import { EngineError } from "../errors.ts";

interface Closable {
  close(): Promise<void>;
}

export interface Lasting<Opened> {
  /** As it was opened first. */
  readonly first: Opened;
  /** Do work with it, once more where what it is done with ended before or meanwhile. */
  use<Result>(work: (opened: Opened) => Promise<Result>, signal?: AbortSignal): Promise<Result>;
  close(): Promise<void>;
}

/** Open it, and anew for the next request after its engine failed. */
export async function openLasting<Opened extends Closable>(open: () => Promise<Opened>): Promise<Lasting<Opened>> {
  const first = await open();
  let current: Opened | undefined = first;
  const attempt: Lasting<Opened>["use"] = async (work, signal) => use(work, signal, true);
  async function use<Result>(
    work: (opened: Opened) => Promise<Result>,
    signal: AbortSignal | undefined,
    again: boolean,
  ): Promise<Result> {
    current ??= await open();
    const opened = current;
    try {
      return await work(opened);
    } catch (error) {
      // while this request waited for its turn, another's failure can have ended what it was worked on with
      const lost = current !== opened;
      // a file that was changed under the engine is an error of its own
      const failed = error instanceof EngineError || (error as Error).cause instanceof EngineError;
      if (failed && !lost) {
        current = undefined;
        // where the process lives on, its model must not stay beside the next one; what counts is the first error
        await opened.close().catch(() => undefined);
      }
      // It may have ended before this request, which is then no fault of it; one that ends two processes is refused.
      if (!again || !(error instanceof EngineError) || (error.ended === undefined && !lost)) throw error;
      signal?.throwIfAborted();
      return use(work, signal, false);
    }
  }
  return { first, use: attempt, close: async () => current?.close() };
}
