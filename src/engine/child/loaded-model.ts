/**
 * A model inside the child process: tokenize, sample, and decode chunks exactly as llama-perplexity does
 * (tools/perplexity/perplexity.cpp: memory cleared per batch of chunks, first token replaced by BOS where the model adds
 * it, positions ⌊n/2⌋ … n−2 scored).
 */

import { createRandom } from "../../random.ts";
import type {
  ChosenCodes,
  FeedbackGain,
  ImportanceSums,
  ModelLoadOptions,
  PromptPart,
  RewriteJob,
  SamplingFolder,
  SeenPrompt,
  TypedPairs,
} from "../engine.ts";
import { type CodesCall, chooseCodes } from "./choose-codes.ts";
import { BATCH_TOKENS, Decoder } from "./decoder.ts";
import { NOT_DRAWN } from "./draw-token.ts";
import type { TokenDrawer } from "./draw-tokens.ts";
import type { FeedbackKernels } from "./feedback.ts";
import { type CollectorOptions, ImportanceCollector } from "./importance-collector.ts";
import { KeptInputs } from "./kept-inputs.ts";
import { KeptSampling } from "./kept-sampling.ts";
import type { LlamaLibrary, Pointer } from "./llama-library.ts";
import { LOAD_MODE_MMAP, LOAD_MODE_NONE } from "./llama-structs.ts";
import { LoadedWeights } from "./loaded-weights.ts";
import { type GainsCall, measureGains } from "./measure-gains.ts";
import { MomentsCollector } from "./moments-collector.ts";
import { openMtmdLibrary } from "./mtmd-library.ts";
import { pairRows } from "./pair-rows.ts";
import {
  type LogitsAsked,
  nextLogits,
  type PoolingAsked,
  type PromptDecoder,
  poolPrompts,
  poolRows,
  seePrompt,
} from "./prompt-batches.ts";
import type { DecodedRows } from "./score-rows.ts";
import { ImageError, type TokenizedPrompt, Vision } from "./vision.ts";

/** Logits kept at once, bytes: a 250k vocabulary decodes fewer chunks together. */
const LOGITS_BYTES = 512 * 2 ** 20;

export interface LoadCall extends Pick<ModelLoadOptions, "model" | "threads" | "gpuLayers"> {
  /** The number the parent calls this model by. */
  readonly handle: number;
  /** See ModelLoadOptions. */
  readonly kv?: ModelLoadOptions["kv"];
  readonly mapped?: boolean;
  readonly rewritable?: boolean;
  readonly device?: string | undefined;
  readonly vocabOnly?: boolean | undefined;
}

export interface PoolCall extends PoolingAsked {
  readonly prompts: readonly Int32Array[];
  /** See LoadedRanker.pool(). */
  readonly pairs?: TypedPairs | undefined;
}

export interface SeeCall {
  /** Path of libmtmd. */
  readonly library: string;
  readonly projector: string;
  readonly prompts: readonly (readonly PromptPart[])[];
  readonly context: number;
  /** Absent: the outputs of the rank head are wanted. */
  readonly ids?: Int32Array | undefined;
}

export interface SampleOptions {
  readonly onStep: (done: number) => void;
  readonly collector?: ImportanceCollector;
  /** See LoadedModel.sample(). */
  readonly kept?: SamplingFolder | undefined;
  readonly note?: (text: string) => void;
}

export interface InputsCall {
  /** Of a kind each, whole chunks. */
  readonly texts: readonly { readonly ids: Int32Array; readonly context: number }[];
  readonly weights: readonly string[];
  /** See LoadedModel.collectInputs(). */
  readonly kept?: string | undefined;
}

/** Tokens of the context in which models are timed, so that a warm-up makes the one that is timed. */
const TIMED_CONTEXT = 512;

export interface TimeCall {
  readonly prompt: number;
  readonly generated: number;
  readonly mostMs: number;
  readonly seed: number;
}

/** Decoded to see the weights: of more a device would take copies of what lies in memory. */
const FEW_TOKENS = 2;

function deviceNamed(library: LlamaLibrary, name: string): Pointer {
  for (let index = 0; index < Number(library.deviceCount()); index++) {
    const device = library.device(index);
    if (library.deviceName(device) === name) return device;
  }
  throw new Error(`there is no device ${name}`);
}

function prepare(vision: Vision, parts: readonly PromptPart[]): TokenizedPrompt | ImageError {
  try {
    return vision.tokenize(parts);
  } catch (error) {
    if (error instanceof ImageError) return error;
    throw error;
  }
}

export class LoadedModelHandle {
  readonly threads: number;
  readonly vocabSize: number;
  readonly addBos: boolean;
  readonly bos: number;
  readonly contextTrain: number;
  readonly #library: LlamaLibrary;
  readonly #model: Pointer;
  readonly #vocab: Pointer;
  readonly #decoder: Decoder;
  readonly #prompts: PromptDecoder;
  #inputs: MomentsCollector | undefined;
  readonly #rewritable: boolean;
  #weights: LoadedWeights | undefined;
  #vision: Vision | undefined;

  constructor(library: LlamaLibrary, request: LoadCall) {
    this.#library = library;
    this.threads = request.threads;
    this.#rewritable = request.rewritable ?? false;
    const params = library.modelDefaults();
    params.n_gpu_layers = request.gpuLayers;
    params.vocab_only = request.vocabOnly ?? false;
    if (request.mapped || request.rewritable) {
      params.load_mode = request.mapped ? LOAD_MODE_MMAP : LOAD_MODE_NONE;
      // Such buffers hold copies, packed for the CPU's matrix instructions.
      params.use_extra_bufts = false;
    }
    const device = request.device === undefined ? undefined : deviceNamed(library, request.device);
    // a list that ends with nothing
    if (device !== undefined) params.devices = BigUint64Array.of(device, 0n);
    const model = library.loadModel(request.model, params);
    if (model === null) {
      const onGpu = request.gpuLayers > 0 ? " with that many layers on a GPU; try fewer --gpu-layers, or 0" : "";
      throw new Error(`llama.cpp could not load ${request.model}${onGpu}`);
    }
    this.#model = model;
    this.#vocab = library.vocab(model);
    this.#decoder = new Decoder(library, model, request.threads, request.kv);
    this.#prompts = { decoder: this.#decoder, together: request.gpuLayers > 0 };
    this.vocabSize = library.vocabSize(this.#vocab);
    this.addBos = library.addBos(this.#vocab);
    this.bos = library.vocabBos(this.#vocab);
    this.contextTrain = library.contextTrain(model);
    if (library.hasEncoder(model)) {
      this.close();
      throw new Error(`${request.model} has an encoder; only decoder models can be evaluated and sampled`);
    }
  }

  close(): void {
    this.#vision?.close();
    this.#decoder.close();
    this.#library.freeModel(this.#model);
  }

  /** Tokenize with the special tokens the model adds, but without the EOS of an embedding model: no text is to follow. */
  tokenize(text: string): Int32Array {
    const ids = this.encode(text, true, false);
    const endsWithEos = ids.length > 0 && this.#library.addEos(this.#vocab) && ids.at(-1) === this.#eos();
    return endsWithEos ? ids.slice(0, -1) : ids;
  }

  /** `addSpecial`: what the model adds at both ends; `parseSpecial`: special tokens written out in the text count. */
  encode(text: string, addSpecial: boolean, parseSpecial: boolean): Int32Array {
    const bytes = new TextEncoder().encode(text);
    const room = new Int32Array(bytes.length + 16);
    const count = this.#library.tokenize(this.#vocab, bytes, bytes.length, room, room.length, addSpecial, parseSpecial);
    if (count < 0) throw new Error(`llama_tokenize failed (${count})`);
    return room.slice(0, count);
  }

  /** The special tokens around texts that are joined by hand; absent where the model adds none. */
  joints(): { bos?: number; eos?: number; sep?: number } {
    const sep = this.#library.vocabSep(this.#vocab);
    // As llama-server does for a vocabulary without EOS.
    const eos = this.#eos() < 0 ? sep : this.#eos();
    return {
      ...(this.addBos && this.bos >= 0 ? { bos: this.bos } : {}),
      ...(this.#library.addEos(this.#vocab) && eos >= 0 ? { eos } : {}),
      ...(this.#library.addSep(this.#vocab) && sep >= 0 ? { sep } : {}),
    };
  }

  /** Per prompt the outputs of the rank head, or the pooled hidden states. */
  poolPrompts({ prompts, pairs, ...asked }: PoolCall): Float32Array[] {
    const { pooling } = asked;
    const width =
      pooling === "rank" ? this.#library.classOutputs(this.#model) : this.#library.embeddingSize(this.#model);
    if (pairs === undefined) return poolPrompts(this.#prompts, prompts, asked, width);
    return poolRows(this.#prompts.decoder, pairRows(this.#library, prompts, pairs), pooling, width);
  }

  /** Per prompt the logits of `ids` at the position after it. */
  nextLogits(prompts: readonly Int32Array[], asked: LogitsAsked): Float32Array[] {
    return nextLogits(this.#prompts, prompts, asked, this.vocabSize);
  }

  /** Per prompt with images the same as poolPrompts() or nextLogits(). */
  see({ library, projector, prompts, context, ids }: SeeCall): SeenPrompt[] {
    if (this.#vision?.projector !== projector) {
      this.#vision?.close();
      this.#vision = undefined;
      const gpu = this.#prompts.together;
      const asked = { projector, model: this.#model, threads: this.threads, gpu };
      this.#vision = new Vision(openMtmdLibrary(library), asked);
    }
    const vision = this.#vision;
    return prompts.map((parts) => {
      const prompt = prepare(vision, parts);
      if (prompt instanceof ImageError) return { tokens: 0, problem: prompt.message };
      try {
        const { tokens } = prompt;
        if (tokens > context) return { tokens };
        const width = ids === undefined ? this.#library.classOutputs(this.#model) : this.vocabSize;
        const values = seePrompt(this.#decoder, prompt, ids === undefined ? "rank" : undefined, width);
        return { tokens, values: ids === undefined ? values : Float32Array.from(ids, (id) => values[id] as number) };
      } finally {
        prompt.free();
      }
    });
  }

  detokenize(ids: Int32Array): string {
    const write = (room: Uint8Array): number =>
      this.#library.detokenize(this.#vocab, ids, ids.length, room, room.length, false, true);
    let room = new Uint8Array(ids.length * 8 + 64);
    let length = write(room);
    if (length < 0) {
      room = new Uint8Array(-length);
      length = write(room);
    }
    return new TextDecoder().decode(room.subarray(0, Math.max(0, length)));
  }

  /** Chunks of this context that are decoded together. */
  chunksPerBatch(context: number): number {
    const fitting = Math.floor(LOGITS_BYTES / (Math.ceil(context / 2) * this.vocabSize * 4));
    return Math.max(1, Math.min(Math.floor(BATCH_TOKENS / context), fitting));
  }

  /** Decode whole chunks in one batch, at most chunksPerBatch; the logits stay valid until the next decode. */
  decodeChunks(ids: Int32Array, context: number): DecodedRows {
    const chunks = ids.length / context;
    const first = Math.floor(context / 2);
    const scored = context - 1 - first;
    const tokens = ids.slice();
    const targets = new Int32Array(new SharedArrayBuffer(chunks * scored * Int32Array.BYTES_PER_ELEMENT));
    for (let chunk = 0; chunk < chunks; chunk++) {
      const start = chunk * context;
      targets.set(ids.subarray(start + first + 1, start + context), chunk * scored);
      if (this.addBos) tokens[start] = this.bos;
    }
    const positions = Int32Array.from(tokens, (_, i) => i % context);
    const sequences = this.chunksPerBatch(context);
    this.#decoder.start({ sequences, length: context, batchTokens: sequences * context });
    const logits = this.#decoder.decode({
      tokens,
      positions,
      sequences: Int32Array.from(tokens, (_, i) => Math.floor(i / context)),
      outputs: Int8Array.from(positions, (position) => (position >= first ? 1 : 0)),
    });
    return {
      logits,
      vocabSize: this.vocabSize,
      sequences: chunks,
      rowsPerSequence: context - first,
      scoredPerSequence: scored,
      targets,
    };
  }

  /** Collect the importance of every weight over whole chunks, decoded in the batches of llama-imatrix where they fit. */
  collectImportance(
    ids: Int32Array,
    context: number,
    head: boolean,
    onChunks: (done: number) => void,
  ): Promise<Map<string, ImportanceSums>> {
    return this.#watched({ head }, async (collector) =>
      this.#decodeAll(collector.callback, ids, context, (done) => {
        collector.check();
        onChunks(done);
      }),
    );
  }

  /** Decode whole chunks in the batches of llama-imatrix where they fit, with a callback for each node of the graph. */
  #decodeAll(watch: Pointer, ids: Int32Array, context: number, onBatch: (chunks: number) => void): void {
    const fitting = Math.floor(LOGITS_BYTES / (context * this.vocabSize * 4));
    const sequences = Math.max(1, Math.min(Math.floor(BATCH_TOKENS / context), fitting));
    for (let from = 0; from < ids.length; from += sequences * context) {
      const tokens = ids.slice(from, from + sequences * context);
      if (this.addBos) for (let start = 0; start < tokens.length; start += context) tokens[start] = this.bos;
      this.#decoder.start({ sequences, length: context, batchTokens: sequences * context, watch });
      this.#decoder.run({
        tokens,
        positions: Int32Array.from(tokens, (_, i) => i % context),
        sequences: Int32Array.from(tokens, (_, i) => Math.floor(i / context)),
        // every row: where nothing is wanted of it, llama.cpp leaves it out of the last layer
        outputs: new Int8Array(tokens.length).fill(1),
      });
      onBatch((from + tokens.length) / context);
    }
  }

  /**
   * The same over sequences that are sampled meanwhile, a batch of them per list of random generators. Empty where logits
   * are NaN or infinite.
   */
  collectSampled(
    length: number,
    batches: readonly (readonly (() => number)[])[],
    draw: TokenDrawer,
    head: boolean,
    onChunks: (done: number) => void,
  ): Promise<Map<string, ImportanceSums>> {
    return this.#watched({ head, minRows: 1 }, async (collector) => {
      let before = 0;
      for (const random of batches) {
        const share = (position: number) => before + Math.floor((position * random.length) / length);
        const ids = await this.sample(length, random, draw, { onStep: (done) => onChunks(share(done)), collector });
        if (ids[0] === NOT_DRAWN) return collector.entries.clear();
        before += random.length;
        onChunks(before);
      }
    });
  }

  async #watched(
    options: CollectorOptions,
    work: (collector: ImportanceCollector) => Promise<void>,
  ): Promise<Map<string, ImportanceSums>> {
    const collector = new ImportanceCollector(this.#library, options);
    try {
      this.#decoder.close();
      await work(collector);
      return collector.entries;
    } finally {
      this.#decoder.close();
      collector.close();
    }
  }

  /** Collect the second moments of the inputs of weights; `onChunks` counts chunks of all texts. */
  async collectInputs(
    kernels: FeedbackKernels,
    { texts, weights, kept }: InputsCall,
    onChunks: (done: number) => void,
    note: (text: string) => void,
  ): Promise<string[]> {
    this.#inputs = undefined;
    const store = kept === undefined ? undefined : new KeptInputs(kept, kernels, note);
    const begun = await store?.read(texts.length);
    const collected = { wanted: new Set(weights), kinds: texts.length, begun: begun?.sums };
    const collector = new MomentsCollector(this.#library, kernels, collected);
    try {
      this.#decoder.close();
      let before = 0;
      for (const [kind, { ids, context }] of texts.entries()) {
        if (kind >= (begun?.kinds ?? 0)) {
          collector.beginKind(kind);
          this.#decodeAll(collector.callback, ids, context, (done) => {
            collector.endBatch();
            onChunks(before + done);
          });
          await store?.write(kind + 1, collector.sums);
        }
        before += ids.length / context;
      }
    } finally {
      this.#decoder.close();
      collector.close();
    }
    this.#inputs = collector;
    return collector.names;
  }

  /** Choose codes by the inputs that were collected last. */
  async chooseCodes(
    kernels: FeedbackKernels,
    call: CodesCall,
    onTensor: (done: number) => void,
    note: (text: string) => void,
  ): Promise<ChosenCodes[]> {
    return chooseCodes(kernels, this.#collected(), call, onTensor, note);
  }

  /** What feedback leaves of each type's error, by the inputs that were collected last. */
  async measureGains(
    kernels: FeedbackKernels,
    call: GainsCall,
    onCandidate: (done: number) => void,
  ): Promise<FeedbackGain[]> {
    return measureGains(this.#library, kernels, this.#collected(), call, onCandidate);
  }

  /** Put tensors of the model's file into the loaded weights, through a type and back or as they are. */
  async rewrite(job: Omit<RewriteJob, "to">): Promise<void> {
    // pages of the file can't be written, and packed weights not in pieces
    if (!this.#rewritable) throw new Error("the model was not loaded to be written to");
    this.#weights ??= new LoadedWeights(this.#library, (watch) => {
      this.#decoder.close();
      this.#decoder.start({ sequences: 1, length: FEW_TOKENS, batchTokens: FEW_TOKENS, watch });
      const [tokens, outputs] = [new Int32Array(FEW_TOKENS), new Int8Array(FEW_TOKENS).fill(1)];
      this.#decoder.run({ tokens, positions: tokens.map((_, i) => i), sequences: tokens, outputs });
      this.#decoder.close();
    });
    await this.#weights.rewrite(job, this.threads);
  }

  /** Milliseconds for random tokens in one batch, and one by one: test_prompt and test_gen of llama-bench. */
  time({ prompt, generated, mostMs, seed }: TimeCall): { promptMs: number; generated: number; generationMs: number } {
    const random = createRandom(seed);
    const drawn = (count: number) =>
      Int32Array.from({ length: count }, (_, index) =>
        index === 0 && this.addBos ? this.bos : Math.floor(random() * this.vocabSize),
      );
    const tokens = drawn(prompt);
    const length = Math.max(TIMED_CONTEXT, prompt, generated);
    const shape = { sequences: 1, length, batchTokens: prompt };
    const outputs = new Int8Array(prompt);
    outputs[prompt - 1] = 1;
    this.#decoder.start(shape);
    let started = performance.now();
    // logits are waited for
    this.#decoder.decode({ tokens, positions: tokens.map((_, at) => at), sequences: new Int32Array(prompt), outputs });
    const promptMs = performance.now() - started;

    const one = { sequences: new Int32Array(1), outputs: new Int8Array(1).fill(1) };
    let generationMs = 0;
    let done = 0;
    this.#decoder.start(shape);
    started = performance.now();
    for (const token of drawn(generated)) {
      this.#decoder.decode({ ...one, tokens: Int32Array.of(token), positions: Int32Array.of(done) });
      done++;
      generationMs = performance.now() - started;
      if (generationMs >= mostMs) break;
    }
    return { promptMs, generated: done, generationMs };
  }

  #collected(): MomentsCollector {
    if (this.#inputs === undefined) throw new Error("no inputs were collected");
    return this.#inputs;
  }

  /**
   * Sample one sequence of `length` ids per random generator at temperature 1, all from the start token. Logits that are
   * NaN or infinite make all of them NOT_DRAWN. A collector sees the last position too.
   */
  async sample(
    length: number,
    random: readonly (() => number)[],
    draw: TokenDrawer,
    { onStep, collector, kept, note = () => undefined }: SampleOptions,
  ): Promise<Int32Array> {
    const sequences = random.length;
    let ids: Int32Array = new Int32Array(sequences * length);
    let current: Int32Array = new Int32Array(sequences).fill(this.#startToken());
    let first = 0;
    this.#decoder.start({ sequences, length, batchTokens: sequences, ...(collector && { watch: collector.callback }) });
    const batch = { sequences: current.map((_, i) => i), outputs: new Int8Array(sequences).fill(1) };
    const keeping = kept && this.#decoder.keepsOrder() ? new KeptSampling(kept, this.#decoder, note) : undefined;
    const begun = await keeping?.resume(sequences, length);
    if (begun !== undefined) {
      ({ ids, current, position: first } = begun);
      for (const next of random) for (let drawn = 0; drawn < first; drawn++) next();
    }
    for (let position = first; position < length; position++) {
      current.forEach((id, s) => {
        ids[s * length + position] = id;
      });
      const isLast = position === length - 1;
      if (isLast && collector === undefined) break;
      const positions = new Int32Array(sequences).fill(position);
      const pointer = this.#decoder.decode({ ...batch, tokens: current, positions });
      collector?.check();
      if (isLast) break;
      const uniforms = Float64Array.from(random, (next) => next());
      current.set(draw(pointer, this.vocabSize, uniforms));
      // Nothing can follow; the parent, which knows the model's path, says so.
      if (current.includes(NOT_DRAWN)) return ids.fill(NOT_DRAWN);
      onStep(position + 1);
      await keeping?.keep({ position: position + 1, ids, current });
    }
    await keeping?.finish();
    return ids;
  }

  /** BOS; else EOS, which separates the documents a model was trained on; else the first token. */
  #startToken(): number {
    return this.bos >= 0 ? this.bos : Math.max(0, this.#eos());
  }

  #eos(): number {
    return this.#library.vocabEos(this.#vocab);
  }
}
