/** A run under way: what every part of it is handed. */
import type { Bench } from "../bench.ts";
import type { EstimateInput } from "./estimate.ts";
import type { CompleteRunRequest } from "./run-request.ts";
import type { RunSource } from "./run-source.ts";
import type { RunDirectory } from "./run-state.ts";

export interface OpenRun {
  readonly request: CompleteRunRequest;
  readonly source: RunSource;
  readonly directory: RunDirectory;
  readonly bench: Bench;
  /** What is known of how long its stages take. */
  readonly expected: EstimateInput;
}
