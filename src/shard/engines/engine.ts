/** What an engine is handed, and what it says. */
import type { Campaign } from "../campaign-document.ts";
import type { EngineId } from "../submission.ts";
import type { WorkerOptions } from "./worker-command.ts";

export interface Handover {
  /** Of the campaign, absolute: what the workers are told. */
  readonly directory: string;
  readonly campaign: Campaign;
  /** Open ones, ascending. */
  readonly indexes: readonly number[];
  readonly worker: WorkerOptions;
  readonly signal: AbortSignal | undefined;
}

/** How many pieces of work an engine has of a campaign. */
export interface EngineState {
  readonly engine: EngineId;
  readonly running: number;
  readonly waiting: number;
}
