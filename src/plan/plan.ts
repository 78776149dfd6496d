/**
 * The Plan document (`prism.plan/1`): which tensor gets which type and why, what it costs and what it is predicted to
 * lose. JSON a person may edit (`type`) and re-cost. The schema is plans/plan.schema.json.
 */
import type { Constraint } from "../allocate/problem.ts";
import type { ImatrixIdentity, ModelIdentity } from "../analyze/analysis.ts";
import type { FileType } from "../ggml/file-types.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { Guard } from "./guards.ts";

export type { Constraint };

export const PLAN_SCHEMA = "prism.plan/1";

/** `budget`: the allocator chose; `ineligible`: llama-quantize leaves it alone; `edited`: a person changed it. */
export type Reason = "budget" | "pin" | "floor" | "fallback" | "tied" | "ineligible" | "edited" | "recipe";

/** One step up or down the tensor's own options: what it costs and what it brings. */
export interface Step {
  readonly type: TensorType;
  readonly bytes: number;
  readonly loss: number;
}

export interface PlanTensor {
  readonly name: string;
  readonly class: string;
  readonly layer?: number;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly sourceType: TensorType;
  readonly type: TensorType;
  /** Bytes of the data in `type`, without padding. */
  readonly bytes: number;
  readonly reason: Reason;
  /** The pin, floor or fallback in words, where there is one. */
  readonly note?: string;
  /** Whether the imatrix had values for it; absent without an imatrix. */
  readonly importance?: "used" | "missing" | "mismatch";
  readonly sensitivity?: number;
  readonly distortion?: number;
  /** sensitivity × distortion ÷ the plan's whole. */
  readonly lossShare?: number;
  /** Measured D per type that llama-quantize can store it in; constraints may have ruled some out. */
  readonly options?: Readonly<Partial<Record<TensorType, number>>>;
  /** The next larger and smaller type worth having: none of at most its bytes is better. */
  readonly up?: Step;
  readonly down?: Step;
}

/** What was asked: exactly as the user put it, and what it means. */
export interface BudgetAsked {
  /** "--bpw 4", "--size 4.3GB", "--like Q3_K_M". */
  readonly text: string;
  /** The limit on the whole file. */
  readonly fileBytes: number;
  /** The limit on the data of all tensors without padding, where bits per weight were asked for. */
  readonly tensorBytes?: number;
}

export interface Plan {
  readonly schema: typeof PLAN_SCHEMA;
  readonly prismVersion: string;
  readonly createdAt: string;
  readonly source: ModelIdentity;
  readonly facts: ModelFacts;
  /** The preset named on the llama-quantize command line; every eligible tensor is overridden anyway. */
  readonly baseFileType: FileType;
  readonly imatrix?: ImatrixIdentity;
  readonly budget: BudgetAsked;
  readonly mode: "tensor" | "class" | "recipe" | "edited";
  readonly constraints: readonly Constraint[];
  /** Guards that were switched off; absent where all are on. */
  readonly guardsOff?: readonly Guard[];
  readonly sensitivity: { readonly mode: string; readonly version: string };
  /** "nats" when densities were measured or fitted. */
  readonly lossUnit: "relative" | "nats";
  readonly predicted: {
    readonly fileBytes: number;
    readonly tensorBytes: number;
    readonly bpw: number;
    readonly loss: number;
    readonly lowerBound: number;
    readonly gap: number;
  };
  readonly tensors: readonly PlanTensor[];
  readonly warnings: readonly string[];
}
