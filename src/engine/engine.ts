/**
 * What the stages need of llama.cpp, as a type. cli/ and loop/ hand an instance in: the embedded library
 * (embedded.ts) or the programs of a llama.cpp build (programs.ts).
 */
import type { FileType } from "../ggml/file-types.ts";
import type { TensorType } from "../ggml/tensor-types.ts";

export interface EngineInfo {
  readonly kind: "embedded" | "programs";
  /** llama.cpp's own version string. */
  readonly version: string;
  /** The package or the folder it came from. */
  readonly origin: string;
  /** What computes: the CPU variant and any GPU devices. */
  readonly devices: readonly string[];
  /** What compares round trips and reduces logits: "C++, AVX-512", or "TypeScript: " and why. */
  readonly kernels?: string;
}

/** Quantize and dequantize rows with the real ggml and compare. */
export interface RoundTripJob {
  /** Type of `data`; any type ggml can dequantize. */
  readonly sourceType: TensorType;
  readonly rowElements: number;
  /** Whole rows in the source type. */
  readonly data: Uint8Array;
  /** Sums are kept per band of this many consecutive rows (the last may be shorter). */
  readonly bandRows: number;
  readonly types: readonly TensorType[];
  /** One weight per element of a row, > 0; weights the error and is handed to the quantizer. */
  readonly importance?: Float32Array;
}

export interface RoundTripResult {
  /** Per band Σ wⱼ·x². */
  readonly power: Float64Array;
  /** Per type and band Σ wⱼ·(x̂−x)². */
  readonly error: Readonly<Partial<Record<TensorType, Float64Array>>>;
  /** NaN or infinite weights among the rows. */
  readonly nonFinite: number;
}

/**
 * Put the data of tensors into their place in another file of the same layout: through a tensor type and back, or,
 * without a type, as it is. A model loaded as views of that file (`ModelLoadOptions.mapped`) sees it at once.
 */
export interface RewriteJob {
  readonly from: string;
  readonly to: string;
  readonly tensors: readonly RewrittenTensor[];
  readonly type?: TensorType;
}

export interface RewrittenTensor {
  /** First byte of the data, the same in both files. */
  readonly offset: number;
  /** ne, innermost dimension first. */
  readonly shape: readonly number[];
  /** F16, BF16 or F32. */
  readonly sourceType: TensorType;
  /** One weight per element of a row, for each matrix of the tensor. */
  readonly importance?: Float32Array;
}

/** One anchored rule for one or more tensors; `pattern` is an ECMAScript regular expression in lower case. */
export interface TypeOverride {
  readonly pattern: string;
  readonly type: TensorType;
}

export interface EngineImatrix {
  readonly path: string;
  /** Importance per tensor name, as llama-quantize computes it from the file. */
  readonly importance: ReadonlyMap<string, Float32Array>;
  /** The quantize.imatrix.* strings and counts the output carries. */
  readonly file: string;
  readonly dataset: string;
  readonly entries: number;
  readonly chunks: number;
}

export interface QuantizeJob {
  readonly source: string;
  /** Written as it is; the caller names it aside and renames. */
  readonly output: string;
  readonly fileType: FileType;
  readonly overrides: readonly TypeOverride[];
  readonly imatrix?: EngineImatrix;
  readonly threads: number;
  /** Decide types and sizes without writing. */
  readonly dryRun?: boolean;
  readonly allowRequantize?: boolean;
  /** The source's general.alignment is not 32: llama-quantize would write an unreadable file without an override. */
  readonly fixAlignment?: boolean;
  readonly signal?: AbortSignal;
  /** Called with each tensor done and the number of tensors. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What llama-quantize decided, from its log: one entry per tensor, in output order. */
export interface QuantizeOutcome {
  readonly tensors: readonly { readonly name: string; readonly type: TensorType }[];
  /** Bits per weight as llama.cpp prints them (two decimals). */
  readonly bpw?: number;
}

export interface ModelLoadOptions {
  readonly model: string;
  readonly context: number;
  readonly threads: number;
  readonly gpuLayers: number;
  /** Keep the weights as views of the file, on the CPU, in no other layout: what is written there is computed with. */
  readonly mapped?: boolean;
  readonly signal?: AbortSignal;
}

/** Tokens of an evaluation: `chunks` × `context` ids; the engine puts BOS in each chunk's first place where the model adds it. */
export interface EvaluationTokens {
  readonly context: number;
  readonly chunks: number;
  readonly ids: Int32Array;
}

/** Per scored token, in order; `chunks` × (context − 1 − ⌊context/2⌋) of them. */
export interface TokenScores {
  /** −ln p of the true token, nats. */
  readonly nll: Float64Array;
  /** −ln p of the true token under the reference. */
  readonly referenceNll?: Float64Array;
  /** KL(reference ‖ model), nats. */
  readonly kld?: Float64Array;
  /** 1 where both models' most likely token is the same. */
  readonly sameTop?: Uint8Array;
}

/** What a weight's inputs were, matrix (expert) after matrix. */
export interface ImportanceSums {
  /** Σ x² of each of ne0 inputs. */
  readonly sums: Float32Array;
  /** Rows summed: one number for a dense weight, one for each expert. */
  readonly counts: Float64Array;
}

/** A model loaded in the engine. Calls run one after another. */
export interface LoadedModel {
  readonly vocabSize: number;
  readonly addBos: boolean;
  readonly bos: number;
  readonly contextTrain: number;
  /** Chunks of the context asked for that are decoded together. */
  readonly chunksPerBatch: number;
  /** Tokenize with the special tokens the model adds by itself, as llama-perplexity does. */
  tokenize(text: string): Promise<Int32Array>;
  detokenize(ids: Int32Array): Promise<string>;
  /** Sample `sequences` × `length` ids at temperature 1 from BOS (or EOS), the same for the same seed. */
  sample(options: {
    sequences: number;
    length: number;
    seed: number;
    signal?: AbortSignal;
    onProgress?: (done: number, total: number) => void;
  }): Promise<Int32Array>;
  /** Sum the squared inputs of every weight over all chunks, as llama-imatrix does; `onProgress` counts chunks. */
  importance(options: {
    tokens: EvaluationTokens;
    signal?: AbortSignal;
    onProgress?: (done: number, total: number) => void;
  }): Promise<ReadonlyMap<string, ImportanceSums>>;
  /** Decode chunks `first` … `first+count−1` of `tokens`. */
  score(options: ScoreOptions): Promise<TokenScores>;
  close(): Promise<void>;
}

export interface ScoreOptions {
  readonly tokens: EvaluationTokens;
  readonly first: number;
  readonly count: number;
  /** Write the logits of these chunks to their place in this file (logits-file.ts; its header stands already). */
  readonly writeLogits?: string;
  /** Compare with the logits in this file, or with what this model gives for the same chunks. */
  readonly reference?: { readonly logits: string } | { readonly loaded: LoadedModel };
  readonly signal?: AbortSignal;
}

/** Special tokens around texts that are joined by hand; absent where the model adds none. */
export interface JointTokens {
  readonly bos?: number;
  readonly eos?: number;
  readonly sep?: number;
}

/**
 * A model loaded to say something after whole prompts: any that llama.cpp loads, encoders with a head included. Calls
 * run one after another and hold no state between them. Prompts may be of different lengths, none empty and none
 * longer than `contextTrain`; a GPU decodes several together.
 */
export interface LoadedRanker {
  readonly vocabSize: number;
  /** 0: unknown. */
  readonly contextTrain: number;
  readonly joints: JointTokens;
  /** `addSpecial`: what the model adds at both ends; `parseSpecial`: special tokens written out in a text count. */
  encode(
    texts: readonly string[],
    options: { readonly addSpecial: boolean; readonly parseSpecial: boolean },
  ): Promise<Int32Array[]>;
  detokenize(ids: Int32Array): Promise<string>;
  /** Per prompt the outputs of the model's rank head ("rank"), or the hidden state of its last position ("last"). */
  pool(
    prompts: readonly Int32Array[],
    options: { readonly pooling: "rank" | "last"; readonly signal?: AbortSignal },
  ): Promise<Float32Array[]>;
  /** Per prompt the logits of `ids` at the position after it. */
  nextLogits(
    prompts: readonly Int32Array[],
    options: { readonly ids: Int32Array; readonly signal?: AbortSignal },
  ): Promise<Float32Array[]>;
  close(): Promise<void>;
}

/** What llama-perplexity is asked: `reference` writes `logits`, `model` reads it. */
export interface PerplexityJob {
  readonly model: string;
  readonly threads: number;
  readonly gpuLayers: number;
  /** Tokenize this text and, with `logits`, keep the logits there. Absent: compare with `logits`. */
  readonly text?: { readonly path: string; readonly context: number; readonly chunks?: number };
  readonly logits?: string;
  readonly signal?: AbortSignal;
}

export interface PerplexityReport {
  /** Chunks that were scored. */
  readonly chunks: number;
  readonly ppl: { readonly value: number; readonly se: number };
  readonly referencePpl?: { readonly value: number; readonly se: number };
  readonly lnPplRatio?: { readonly value: number; readonly se: number };
  readonly kld?: {
    readonly mean: number;
    readonly se: number;
    readonly median: number;
    readonly p99: number;
    readonly max: number;
  };
  /** Percent. */
  readonly sameTop?: number;
  readonly sameTopSe?: number;
}

/** What llama-imatrix is asked. */
export interface ImatrixJob {
  readonly model: string;
  readonly text: { readonly path: string; readonly context: number; readonly chunks?: number };
  /** Written as it is; the caller names it aside and renames. */
  readonly output: string;
  readonly threads: number;
  readonly gpuLayers: number;
  readonly signal?: AbortSignal;
}

/**
 * The embedded engine loads models and scores them; the programs can only run llama-perplexity and
 * llama-imatrix as a whole. `info.kind` says which of `load` and `perplexity`, `imatrix` there are; the other throws
 * EngineError, but for a load that is `mapped`.
 */
export interface Engine {
  readonly info: EngineInfo;
  /** Safe to call many at a time; the engine spreads them over its processes. */
  roundTrip(job: RoundTripJob): Promise<RoundTripResult>;
  /** Throws EngineError where a value is too large for the source type after the round trip. */
  rewrite(job: RewriteJob): Promise<void>;
  quantize(job: QuantizeJob): Promise<QuantizeOutcome>;
  load(options: ModelLoadOptions): Promise<LoadedModel>;
  /** Load a model to rank with. The programs can't: EngineError. */
  loadRanker(options: Omit<ModelLoadOptions, "context">): Promise<LoadedRanker>;
  perplexity(job: PerplexityJob): Promise<PerplexityReport>;
  imatrix(job: ImatrixJob): Promise<void>;
  close(): Promise<void>;
}
