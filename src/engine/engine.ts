/**
 * What the stages need of llama.cpp, as a type. The bench holds an instance: the embedded library (embedded.ts) or the
 * programs of a llama.cpp build (programs.ts). What a machine can't do is absent from its engine.
 */
import { EngineError } from "../errors.ts";
import type { FileType } from "../ggml/file-types.ts";
import type { EmbeddingPooling } from "../ggml/model-facts.ts";
import type { TensorType } from "../ggml/tensor-types.ts";

export interface EngineInfo {
  readonly kind: "embedded" | "programs";
  /** llama.cpp's own version string. */
  readonly version: string;
  /** The package or the folder it came from. */
  readonly origin: string;
  /** What computes: the CPU variant and any GPU devices. */
  readonly devices: readonly string[];
  /** The GPUs among them; absent where layers can't be put on one. */
  readonly gpus?: readonly GpuDevice[] | undefined;
  /** What compares round trips and reduces logits: "C++, AVX-512", or "TypeScript: " and why. */
  readonly kernels?: string;
  /** Which of ggml's builds for processors is loaded: "haswell"; absent where the system doesn't tell. */
  readonly cpuBuild?: string | undefined;
}

export interface GpuDevice {
  /** "CUDA0". */
  readonly name: string;
  readonly description: string;
  /** Of its memory, when the engine opened; 0 where the driver does not say. */
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Part of the processor, whose memory it uses: it takes layers only where there is no other. */
  readonly integrated: boolean;
}

/** Whether rows and inputs are computed on in C++; known of the embedded engine. */
export function hasNativeKernels({ kernels }: EngineInfo): boolean {
  return kernels?.startsWith("C++") ?? false;
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

/** Whole rows of one matrix in another type, as llama-quantize makes them. */
export interface EncodeJob {
  readonly sourceType: TensorType;
  /** The source's type: the rows are checked, and come back as they are. */
  readonly type: TensorType;
  readonly rowElements: number;
  /** Whole rows in the source type. */
  readonly data: Uint8Array;
  /** One weight per element of a row. */
  readonly importance?: Float32Array | undefined;
}

/**
 * Put the data of tensors into their place in another file of the same layout: through a tensor type and back, or,
 * without a type, as it is. A model loaded as views of that file (`ModelLoadOptions.mapped`) sees it at once.
 */
export interface RewriteJob {
  readonly from: string;
  readonly to: string;
  readonly tensors: readonly RewrittenTensor[];
  readonly type?: TensorType | undefined;
}

export interface RewrittenTensor {
  readonly name: string;
  /** First byte of the data, the same in both files. */
  readonly offset: number;
  /** ne, innermost dimension first. */
  readonly shape: readonly number[];
  /** F16, BF16 or F32. */
  readonly sourceType: TensorType;
  /** One weight per element of a row, for each matrix of the tensor. */
  readonly importance?: Float32Array | undefined;
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

/** What a job computes with, and what stops it. */
export interface JobResources {
  readonly threads: number;
  /** Layers of a model that are put on a GPU. */
  readonly gpuLayers: number;
  readonly signal?: AbortSignal | undefined;
}

export interface QuantizeJob extends Omit<JobResources, "gpuLayers"> {
  readonly source: string;
  /** Written as it is; the caller names it aside and renames. */
  readonly output: string;
  readonly fileType: FileType;
  readonly overrides: readonly TypeOverride[];
  readonly imatrix?: EngineImatrix | undefined;
  /** Strings the output carries besides: key and value. */
  readonly notes?: ReadonlyMap<string, string> | undefined;
  /** Decide types and sizes without writing. */
  readonly dryRun?: boolean;
  readonly allowRequantize?: boolean;
  /** The source's general.alignment is not 32: llama-quantize would write an unreadable file without an override. */
  readonly fixAlignment?: boolean;
  /** Called with each tensor done and the number of tensors. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What llama-quantize decided, from its log: one entry per tensor, in output order. */
export interface QuantizeOutcome {
  readonly tensors: readonly { readonly name: string; readonly type: TensorType }[];
  /** Bits per weight as llama.cpp prints them (two decimals). */
  readonly bpw?: number;
}

export interface ModelLoadOptions extends JobResources {
  readonly model: string;
  readonly context: number;
  /** Types of the cache of keys and of that of values; by default F16. */
  readonly kv?: { readonly k: TensorType; readonly v: TensorType } | undefined;
  /** Keep the weights as views of the file, on the CPU, in no other layout: what is written there is computed with. */
  readonly mapped?: boolean;
  /** Keep the weights where LoadedModel.rewrite() can write them, on any device: read into memory, in no other layout. */
  readonly rewritable?: boolean;
  /** Put the layers on this GPU alone (`GpuDevice.name`); otherwise on all there are. */
  readonly device?: string | undefined;
  /** Read the vocabulary alone, which takes no time: it can tokenize, and nothing else. */
  readonly vocabOnly?: boolean | undefined;
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

/** A matrix of a model's file. */
export interface StoredMatrix {
  readonly name: string;
  /** Which of a tensor of experts. */
  readonly expert?: number;
  /** The source's file, and the first byte there. */
  readonly from: string;
  readonly sourceOffset: number;
  readonly sourceType: TensorType;
  /** Inputs and rows. */
  readonly columns: number;
  readonly rows: number;
}

/** Where codes are kept, and bytes that they and their neighbours may take. */
export interface CodesFolder {
  readonly path: string;
  readonly limitBytes: number;
}

/** Where sampling is kept on its way, to go on after an interruption. */
export interface SamplingFolder {
  /** Of the file; what the model remembers lies beside it. Its name must tell everything the text depends on. */
  readonly path: string;
  /** Bytes that it and its neighbours may take. */
  readonly limitBytes: number;
  /** Milliseconds between two times; by default as seldom as it costs next to nothing. */
  readonly everyMs?: number | undefined;
}

/** A matrix of a quantized file, and where its weights come from. */
export interface CodedTensor extends StoredMatrix {
  /** First byte in the quantized file. */
  readonly offset: number;
  readonly type: TensorType;
}

/** A matrix, and the types that it could take. */
export interface GainCandidate extends StoredMatrix {
  readonly types: readonly TensorType[];
  /** Of each column, as the quantizer is given it. */
  readonly importance?: Float32Array;
}

export interface FeedbackGain {
  readonly name: string;
  /** By type, error with feedback divided by that of ggml's rounding, under the held-out inputs: 0 … 1. */
  readonly ratios: Readonly<Partial<Record<TensorType, number>>>;
}

/** What became of a tensor. */
export interface ChosenCodes {
  readonly name: string;
  /** Error under the held-out inputs, divided by that of the codes that stood there; of sampled rows. */
  readonly ratio: number;
  /** How far Σ was shrunk towards its diagonal; absent: the codes that stood there are no worse and stay. */
  readonly shrinkage?: number;
}

/** A model loaded in the engine. Calls run one after another. */
export interface LoadedModel {
  readonly vocabSize: number;
  readonly addBos: boolean;
  readonly bos: number;
  readonly contextTrain: number;
  /** What it puts around a text. */
  readonly joints: JointTokens;
  /** Chunks of the context asked for that are decoded together. */
  readonly chunksPerBatch: number;
  /** Tokenize with the special tokens the model adds by itself, as llama-perplexity does. */
  tokenize(text: string): Promise<Int32Array>;
  detokenize(ids: Int32Array): Promise<string>;
  /**
   * Sample `sequences` × `length` ids at temperature 1 from BOS (or EOS), the same for the same seed, and the same where
   * it was interrupted and goes on from what is kept.
   */
  sample(options: {
    sequences: number;
    length: number;
    seed: number;
    kept?: SamplingFolder | undefined;
    onNote?: ((text: string) => void) | undefined;
    signal?: AbortSignal | undefined;
    onProgress?: (done: number, total: number) => void;
  }): Promise<Int32Array>;
  /**
   * Sum the squared inputs of every weight over all chunks, as llama-imatrix does, with `head` those of the output head
   * too; `onProgress` counts chunks.
   */
  importance(options: {
    tokens: EvaluationTokens;
    head?: boolean | undefined;
    signal?: AbortSignal | undefined;
    onProgress?: (done: number, total: number) => void;
  }): Promise<ReadonlyMap<string, ImportanceSums>>;
  /**
   * The same over `chunks` sequences that are sampled meanwhile, as sample() draws them, `together` at a time: one pass in
   * the place of two. `onProgress` counts chunks.
   */
  sampledImportance(options: {
    chunks: number;
    together: number;
    context: number;
    seed: number;
    head?: boolean | undefined;
    signal?: AbortSignal | undefined;
    onProgress?: (done: number, total: number) => void;
  }): Promise<ReadonlyMap<string, ImportanceSums>>;
  /**
   * Sum the second moments of the inputs of these weights over texts of several kinds, and keep them in the engine until
   * the next call. For each input another kind is held out. Returns the weights whose inputs were seen. In the file `kept`
   * sums are kept after each kind, and taken from where they are there: its name must tell everything they depend on.
   */
  collectInputs(options: {
    texts: readonly EvaluationTokens[];
    weights: readonly string[];
    kept?: string | undefined;
    onNote?: ((text: string) => void) | undefined;
    signal?: AbortSignal | undefined;
    onProgress?: (done: number, total: number) => void;
  }): Promise<readonly string[]>;
  /**
   * Choose the codes of tensors of a quantized file with error feedback, where that beats what stands there. What was
   * chosen is kept in a folder, which is of these inputs, and taken from there.
   */
  chooseCodes(options: {
    output: string;
    tensors: readonly CodedTensor[];
    kept?: CodesFolder | undefined;
    onNote?: ((text: string) => void) | undefined;
    signal?: AbortSignal | undefined;
    onProgress?: (done: number, total: number) => void;
  }): Promise<readonly ChosenCodes[]>;
  /** What feedback leaves of the error of each type, by the inputs that were collected last. In the order given. */
  measureGains(options: {
    candidates: readonly GainCandidate[];
    signal?: AbortSignal | undefined;
    onProgress?: (done: number, total: number) => void;
  }): Promise<readonly FeedbackGain[]>;
  /**
   * Put the data of tensors from their file into the loaded weights, as Library.rewrite() does into a file; of models that
   * were loaded `rewritable`. Throws EngineError where the loaded model does not have one of them as its file has it.
   */
  rewrite(job: Omit<RewriteJob, "to"> & { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /**
   * Time a prompt of so many random tokens decoded in one batch, and so many decoded one by one, each in an empty memory;
   * the latter end after `mostMs`, and at least one is decoded. What was made ready for a prompt of this size is ready for
   * the next.
   */
  time(options: {
    readonly prompt: number;
    readonly generated: number;
    readonly mostMs: number;
    readonly seed: number;
    readonly signal?: AbortSignal | undefined;
  }): Promise<{ readonly promptMs: number; readonly generated: number; readonly generationMs: number }>;
  /** Per prompt its hidden states, pooled. */
  pool(
    prompts: readonly Int32Array[],
    options: { readonly pooling: Pooling; readonly signal?: AbortSignal | undefined },
  ): Promise<Float32Array[]>;
  /** Decode chunks `first` … `first+count−1` of `tokens`. */
  score(options: ScoreOptions): Promise<TokenScores>;
  close(): Promise<void>;
}

export interface ScoreOptions {
  readonly tokens: EvaluationTokens;
  readonly first: number;
  readonly count: number;
  /** Write the logits of these chunks to their place in this file (logits-file.ts; its header stands already). */
  readonly writeLogits?: string | undefined;
  /** Compare with the logits in this file, or with what this model gives for the same chunks. */
  readonly reference?: { readonly logits: string } | { readonly loaded: LoadedModel } | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Special tokens around texts that are joined by hand; absent where the model adds none. */
export interface JointTokens {
  readonly bos?: number;
  readonly eos?: number;
  readonly sep?: number;
}

/** Where the rows of a tensor lie in a file. */
export interface StoredRows {
  readonly from: string;
  /** Of its first byte. */
  readonly offset: number;
  readonly type: TensorType;
  readonly columns: number;
}

/** The two texts of a pair told apart as BERT was trained: llama.cpp takes every token for one of the first. */
export interface PairTypes {
  readonly embedding: StoredRows;
  /** What is added to a token of the first text, and of the second. */
  readonly types: StoredRows;
}

/** `seconds`: where the second text of each prompt begins. */
export type TypedPairs = PairTypes & { readonly seconds: readonly number[] };

/** What becomes of the hidden states of a prompt. */
export type Pooling = EmbeddingPooling | "rank";

/**
 * A model loaded to say something after whole prompts: any that llama.cpp loads, encoders with a head included. Calls
 * run one after another, and none depends on those before it. Prompts may be of different lengths, none empty and none
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
  /**
   * Per prompt the outputs of the model's rank head ("rank"), or its hidden states, pooled otherwise. `shared` as for
   * nextLogits(), and only of a decoder that pools the last position.
   */
  pool(
    prompts: readonly Int32Array[],
    options: {
      readonly pooling: Pooling;
      readonly shared?: number | undefined;
      readonly pairs?: TypedPairs | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<Float32Array[]>;
  /**
   * Per prompt the logits of `ids` at the position after it. All prompts begin with the same `shared` tokens (default 0)
   * and have more: on a CPU those are decoded once where both parts are long enough for the same sums.
   */
  nextLogits(
    prompts: readonly Int32Array[],
    options: {
      readonly ids: Int32Array;
      readonly shared?: number | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<Float32Array[]>;
  /**
   * Per prompt, of texts and images, the outputs of the rank head, or the logits of `ids` at the position after it. Absent
   * where libmtmd was not built. Throws EngineError for a projector of another model.
   */
  see?(
    prompts: readonly (readonly PromptPart[])[],
    options: {
      /** Path of the projector (mmproj). */
      readonly projector: string;
      /** Most tokens of a prompt; longer ones have no values. */
      readonly context: number;
      readonly ids?: Int32Array | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<SeenPrompt[]>;
  close(): Promise<void>;
}

/** A text, in which special tokens that are written out count or don't, or the bytes of a picture's file. */
export type PromptPart = { readonly text: string; readonly special: boolean } | { readonly image: Uint8Array };

export interface SeenPrompt {
  readonly tokens: number;
  readonly values?: Float32Array | undefined;
  /** Why there are no values: an image that can't be decoded. */
  readonly problem?: string | undefined;
}

export interface TryLoadOptions extends Omit<JobResources, "gpuLayers"> {
  readonly model: string;
  /** Decode a token with the weights, mapped; otherwise none are read, and a model of any size costs what its header does. */
  readonly decode: boolean;
}

/** `why`: llama.cpp's own last words; `aborted`: it ended its process. */
export type LoadVerdict =
  | { readonly loads: true }
  | { readonly loads: false; readonly why: string; readonly aborted: boolean };

/** A context that a model's memory is asked for. */
export interface MemoryContext {
  /** Tokens of all sequences together. */
  readonly context: number;
  /** Sequences that share it out. */
  readonly parallel: number;
  /** Types of the caches of keys and values. */
  readonly kv: { readonly k: TensorType; readonly v: TensorType };
  /** Tokens that are computed at a time. */
  readonly ubatch: number;
}

export interface MeasureMemoryOptions extends Pick<JobResources, "signal"> {
  readonly model: string;
  readonly contexts: readonly MemoryContext[];
  readonly gpuLayers: number;
}

/** Bytes of a context as llama.cpp logs them, in hundredths of a MiB. */
export interface ContextMemory {
  readonly kvBytes: number;
  /** Of recurrent layers. */
  readonly stateBytes: number;
  readonly outputBytes: number;
  /** Of the buffers for computing, by their names ("CPU", "CUDA0", "CUDA_Host"). */
  readonly computeBytes: ReadonlyMap<string, number>;
}

/** What llama-perplexity is asked: `reference` writes `logits`, `model` reads it. */
export interface PerplexityJob extends JobResources {
  readonly model: string;
  /** Tokenize this text and, with `logits`, keep the logits there. Absent: compare with `logits`. */
  readonly text?: { readonly path: string; readonly context: number; readonly chunks?: number | undefined } | undefined;
  readonly logits?: string | undefined;
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
export interface ImatrixJob extends JobResources {
  readonly model: string;
  readonly text: { readonly path: string; readonly context: number; readonly chunks?: number | undefined };
  /** Written as it is; the caller names it aside and renames. */
  readonly output: string;
}

/** libggml and libllama in processes of their own: they measure, degrade and load what they are given. */
export interface Library {
  /** Safe to call many at a time; spread over processes. */
  roundTrip(job: RoundTripJob): Promise<RoundTripResult>;
  /** Rows in a type. Throws EngineError where a value or a scale is not finite. */
  encode?(job: EncodeJob): Promise<Uint8Array>;
  /** Throws EngineError where a value is too large for the source type after the round trip. */
  rewrite(job: RewriteJob): Promise<void>;
  load(options: ModelLoadOptions): Promise<LoadedModel>;
  /** Whether llama.cpp takes the model at `model`; an assert that ends its process is an answer too. */
  tryLoad(options: TryLoadOptions): Promise<LoadVerdict>;
  /**
   * What contexts of a model take of memory, which is not allocated for it; undefined for those that llama.cpp refuses.
   * Throws EngineError where it does not load the model.
   */
  measureMemory?(options: MeasureMemoryOptions): Promise<(ContextMemory | undefined)[]>;
  /** Whether rankers read images: libmtmd was built. */
  readonly seesImages?: boolean | undefined;
  /** Load that library; returns its path. Throws EngineError where it can't be loaded. */
  tryVision?(): Promise<string>;
  /** Load a model to rank with. */
  loadRanker(options: Omit<ModelLoadOptions, "context">): Promise<LoadedRanker>;
}

/** Programs that evaluate a model as a whole. */
export interface Programs {
  perplexity(job: PerplexityJob): Promise<PerplexityReport>;
  imatrix(job: ImatrixJob): Promise<void>;
}

/**
 * llama.cpp as it was found: the library, or the programs of a build, with or without the library beside them. Where
 * there are programs they quantize and evaluate, since the user chose that build; the library then only measures weights
 * and probes them, on the processor.
 */
export type Engine = {
  readonly info: EngineInfo;
  quantize(job: QuantizeJob): Promise<QuantizeOutcome>;
  close(): Promise<void>;
} & (
  | { readonly library: Library; readonly programs?: undefined }
  | { readonly library?: Library | undefined; readonly programs: Programs }
);

/** The library. Throws EngineError (missing) where there are only programs. */
export function requireLibrary({ library }: Engine): Library {
  if (library !== undefined) return library;
  throw new EngineError(
    "measuring distortion and probing need libggml; install the optional package @node-llama-cpp/<platform>",
    { missing: true },
  );
}
