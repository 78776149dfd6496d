/**
 * A model's context: decodes batches of tokens that belong to several sequences. It is made anew when sequences of
 * another number or length are asked for, since llama.cpp fixes both when it allocates its memory.
 */
import koffi from "koffi";
import { attachThreads } from "./attach-threads.ts";
import type { LlamaLibrary, Pointer } from "./llama-library.ts";

/** llama-perplexity's default logical batch, tokens. */
export const BATCH_TOKENS = 2048;

export interface ContextShape {
  readonly sequences: number;
  /** Tokens of each sequence. */
  readonly length: number;
  /** Tokens decoded in one call. */
  readonly batchTokens: number;
}

/** Per token: its id, its position, its sequence, and 1 where its logits are wanted. */
export interface Batch {
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  readonly sequences: Int32Array;
  readonly outputs: Int8Array;
}

interface OpenContext {
  readonly shape: ContextShape;
  readonly pointer: Pointer;
  readonly memory: Pointer;
  /** 0, 1, 2, …: what seq_id points into, one entry per sequence; kept here so that its address stays valid. */
  readonly sequenceIds: Int32Array;
}

export class Decoder {
  readonly #library: LlamaLibrary;
  readonly #model: Pointer;
  readonly #threads: number;
  #context: OpenContext | undefined;

  constructor(library: LlamaLibrary, model: Pointer, threads: number) {
    this.#library = library;
    this.#model = model;
    this.#threads = threads;
  }

  /** Empty the memory of all sequences. Throws an Error where a context can't be made. */
  start(shape: ContextShape): void {
    const context = this.#open(shape);
    this.#library.clearMemory(context.memory, true);
  }

  /** Decode. Returns the address of the wanted logits in the order of the batch, valid until the next call. */
  decode(batch: Batch): Pointer {
    if (this.#context === undefined) throw new Error("decode() before start()");
    const { pointer, sequenceIds } = this.#context;
    const count = batch.tokens.length;
    const base = koffi.address(sequenceIds);
    const sequencePointers = BigUint64Array.from(batch.sequences, (sequence) => {
      return base + BigInt(sequence * Int32Array.BYTES_PER_ELEMENT);
    });
    const code = this.#library.decode(pointer, {
      n_tokens: count,
      token: batch.tokens,
      embd: null,
      pos: batch.positions,
      n_seq_id: new Int32Array(count).fill(1),
      seq_id: sequencePointers,
      logits: batch.outputs,
    });
    if (code !== 0) throw new Error(`llama_decode failed with code ${code} on ${count} tokens`);
    const logits = this.#library.logits(pointer);
    if (logits === null) throw new Error("llama.cpp returned no logits");
    return logits;
  }

  close(): void {
    if (this.#context !== undefined) this.#library.freeContext(this.#context.pointer);
    this.#context = undefined;
  }

  #open(shape: ContextShape): OpenContext {
    const { sequences, length, batchTokens } = shape;
    const open = this.#context;
    if (open !== undefined && sameShape(open.shape, shape)) return open;
    this.close();
    const params = this.#library.contextDefaults();
    params.n_ctx = sequences * length;
    params.n_seq_max = sequences;
    params.n_batch = batchTokens;
    params.n_threads = this.#threads;
    params.n_threads_batch = this.#threads;
    // As common.h sets it for llama-perplexity.
    params.swa_full = false;
    const pointer = this.#library.initContext(this.#model, params);
    if (pointer === null) {
      throw new Error(
        `llama.cpp could not make a context of ${sequences} × ${length} tokens; out of memory? Try a smaller --context`,
      );
    }
    const memory = this.#library.memory(pointer);
    if (memory === null) {
      this.#library.freeContext(pointer);
      throw new Error("an encoder or embedding model predicts no next token: it has no perplexity and samples no text");
    }
    attachThreads(this.#library, pointer, this.#threads);
    this.#context = { shape, pointer, memory, sequenceIds: Int32Array.from({ length: sequences }, (_, i) => i) };
    return this.#context;
  }
}

function sameShape(a: ContextShape, b: ContextShape): boolean {
  return a.sequences === b.sequences && a.length === b.length && a.batchTokens === b.batchTokens;
}
