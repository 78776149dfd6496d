/** A run under way: what every part of it is handed. */
import type { Bench } from "../bench.ts";
import type { EstimateInput } from "./estimate.ts";
import type { CompleteRunRequest } from "./run-request.ts";
import type { RunSource } from "./run-source.ts";
import type { RunDirectory } from "./run-state.ts";
import type { Course } from "./stop-run.ts";

export interface OpenRun {
  readonly request: CompleteRunRequest;
  readonly source: RunSource;
  readonly directory: RunDirectory;
  readonly bench: Bench;
  /** What is known of how long its stages take. */
  readonly expected: EstimateInput;
  readonly course: Course;
}
