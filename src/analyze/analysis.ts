/**
 * The Analysis document (`prism.analysis/1`): what analyze/ measured of a model, and all that plan/ needs to plan
 * without the model file. Plain JSON: a value that could not be computed is absent, never NaN or null.
 */
import type { ModelFacts } from "../ggml/model-facts.ts";
import type { TensorType } from "../ggml/tensor-types.ts";

export const ANALYSIS_SCHEMA = "prism.analysis/1";

/** Which model it is, wherever the file lies. */
export interface ModelIdentity {
  readonly path: string;
  readonly shards: readonly string[];
  readonly arch: string;
  readonly name?: string;
  readonly tensorCount: number;
  readonly elements: number;
  readonly fileBytes: number;
  /** SHA-256 over the header bytes of all shards. */
  readonly headerHash: string;
}

/** Which imatrix weighted the distortion, with the strings the quantized file will carry. */
export interface ImatrixIdentity {
  readonly path: string;
  readonly sha256: string;
  /** `quantize.imatrix.file`, `.dataset`, `.entries_count`, `.chunks_count` as llama-quantize writes them. */
  readonly file: string;
  readonly dataset: string;
  readonly entries: number;
  readonly chunks: number;
  /** Classes with experts that no token of its text was routed to; absent where none. */
  readonly unseenExperts?: readonly { readonly class: string; readonly experts: number; readonly unseen: number }[];
}

export interface Estimate {
  readonly value: number;
  /** Standard error; 0 where every row was measured. */
  readonly se: number;
}

/** D of a tensor in a type. */
export interface DistortionEstimate extends Estimate {
  /** Measured on a part of the bands as a ratio to this type, whose standard error is in `se` too. */
  readonly ratioTo?: TensorType;
  /** This type takes no more bytes and has clearly less error: sampling stopped early. */
  readonly dominatedBy?: TensorType;
}

export interface Metrics {
  /** PL-Alpha-Hill: the exponent, the tail size it was fitted on, (α−1)/√K, and whether rank is missing. */
  readonly alphaHill?: {
    readonly value: number;
    readonly tail: number;
    readonly se: number;
    readonly rankDeficient?: true;
  };
  /** ln of σ₁²/‖W‖² over its Gaussian null (nats); with the stable rank ‖W‖²/σ₁². */
  readonly spectralDominance?: { readonly value: number; readonly stableRank: number };
  /** Relative squared error of scale-optimal quantization in groups of 32. */
  readonly osqe?: { readonly b2: number; readonly b3: number; readonly b4: number; readonly b6: number };
  /** max(row, column) coefficient of variation of the RMS; `columnLogSpread` is MAD of ln column RMS. */
  readonly imbalance?: {
    readonly value: number;
    readonly row: number;
    readonly column: number;
    readonly columnLogSpread: number;
  };
  /** ln(OSQE(2)/OSQE(4)), nats. */
  readonly fragility?: number;
  /** BD* = density near decision thresholds relative to uniform, minus 1. */
  readonly boundaryDensity?: number;
  /** (1−2u)² of the layer's position in spectral log-gain, 0 mid-network, 1 at the ends. */
  readonly spectralPosition?: number;
}

export type MetricName = keyof Metrics;

export interface TensorAnalysis {
  readonly name: string;
  readonly class: string;
  readonly layer?: number;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly sourceType: TensorType;
  readonly eligible: boolean;
  /** Why llama-quantize leaves it alone. */
  readonly ineligibleReason?: string;
  readonly metrics?: Metrics;
  /** Why a metric is absent. */
  readonly omitted?: Readonly<Partial<Record<MetricName, string>>>;
  /** D of each candidate type (already after row-size fallback): relative squared error of the ggml round trip. */
  readonly distortion?: Readonly<Partial<Record<TensorType, DistortionEstimate>>>;
  /** Whether this tensor had importance values, and why not if an imatrix was given. */
  readonly importance?: "used" | "missing" | "mismatch";
  /** Every weight is zero (or weighs nothing): D is 0 for every type. */
  readonly powerless?: boolean;
  readonly rowsRead?: number;
  readonly rows?: number;
}

/** Element-weighted means of a tensor class. */
export interface ClassSummary {
  readonly class: string;
  readonly tensors: number;
  readonly elements: number;
  readonly metrics: Readonly<
    Partial<
      Record<
        | "alphaHill"
        | "spectralDominance"
        | "osqe3"
        | "imbalance"
        | "fragility"
        | "boundaryDensity"
        | "spectralPosition",
        number
      >
    >
  >;
}

export interface Analysis {
  readonly schema: typeof ANALYSIS_SCHEMA;
  readonly prismVersion: string;
  readonly createdAt: string;
  readonly model: ModelIdentity;
  /** What the stock mixes and the exact file size depend on. */
  readonly facts: ModelFacts;
  readonly engine: { readonly version: string; readonly origin: string };
  readonly backend: string;
  readonly imatrix?: ImatrixIdentity;
  readonly sampling: {
    readonly exactMetrics: boolean;
    readonly exactDistortion: boolean;
    readonly seed: number;
    /** Relative standard error of D that sampling stopped at. */
    readonly targetRelativeSe: number;
    readonly bytesRead: number;
    readonly elapsedMs: number;
  };
  readonly tensors: readonly TensorAnalysis[];
  readonly classes: readonly ClassSummary[];
}
