/** What a run is asked, and what it works with. */
import type { Analysis } from "../analyze/analysis.ts";
import type { Engine } from "../engine/engine.ts";
import type { FileType } from "../ggml/file-types.ts";
import type { Backend } from "../kernels/backend.ts";
import type { PlanOptions } from "../plan/make-plan.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import type { Gate } from "./gates.ts";
import type { QualityTarget } from "./quality-target.ts";

export interface RunOptions {
  readonly model: string;
  readonly out: string;
  /** Where the search begins, where a target is given. */
  readonly budget: PlanOptions["budget"];
  /** The budget is the user's, not a default. */
  readonly budgetGiven?: boolean;
  /** Find the smallest file of this quality. */
  readonly target?: QualityTarget;
  /** Measure plans at these budgets too. */
  readonly sweep?: readonly PlanOptions["budget"][];
  readonly mode?: "tensor" | "class";
  readonly constraints?: PlanOptions["constraints"];
  readonly guards?: PlanOptions["guards"];
  /** `name` stands for it in state.json: a file's needs a hash of its content. */
  readonly sensitivity: { readonly name: string; readonly of: (analysis: Analysis) => Sensitivity };
  /** So many probes; with `limitMs`, no more than can be measured in that time. Absent: none. */
  readonly refine?: { readonly probes: number; readonly limitMs?: number };
  /** Path of an importance matrix. */
  readonly imatrix?: string;
  /** Empty: the presets just below and above the plan's size. */
  readonly baselines: readonly FileType[];
  readonly text?: string;
  /** Queries and documents a reranker is judged by (JSON Lines); absent: the set that comes with PRISM. */
  readonly rerankSet?: string;
  readonly context?: number;
  readonly chunks?: number;
  readonly seed: number;
  readonly threads: number;
  readonly gpuLayers: number;
  readonly exactMetrics?: boolean;
  readonly exactDistortion?: boolean;
  /** Bytes of weights in memory at once during the analysis. */
  readonly memoryBytes?: number;
  readonly gates: readonly Gate[];
  /** Where sampled texts and logits are kept; absent: only while the run lasts. */
  readonly cacheDir?: string;
  readonly cacheLimitBytes?: number;
  /** Keep the controls' models too; the plan's is always kept. */
  readonly keepModels?: boolean;
  readonly allowRequantize?: boolean;
  /** Refuse a model in which preflight finds errors or warnings. */
  readonly strict?: boolean;
  /** Begin anew in a directory that holds a run. */
  readonly force?: boolean;
  readonly engine: Engine;
  readonly backend: Backend;
  readonly signal?: AbortSignal;
  /** A stage begins, in words. */
  readonly onStage?: (stage: string) => void;
  /** Steps of `what`, a part of the stage. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
}
