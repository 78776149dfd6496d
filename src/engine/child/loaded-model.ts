/**
 * A model and its context inside the child process: tokenize, sample, and score chunks exactly as llama-perplexity
 * does (tools/perplexity/perplexity.cpp: memory cleared per batch of chunks, first token replaced by BOS where the
 * model adds it, positions ⌊n/2⌋ … n−2 scored).
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import koffi from "koffi";
import type { LlamaLibrary, Pointer } from "./llama-library.ts";
import { recordLength } from "./log-softmax.ts";
import type { ScorePool } from "./score-pool.ts";
import type { ScoreTask } from "./score-rows.ts";

/** llama-perplexity's default logical batch, tokens. */
export const BATCH_TOKENS = 2048;
/** Logits kept at once, bytes: a 250k vocabulary decodes fewer chunks together. */
const LOGITS_BYTES = 512 * 2 ** 20;

export interface LoadRequest {
  readonly model: string;
  readonly context: number;
  readonly threads: number;
  readonly gpuLayers: number;
}

export interface ScoreRequest {
  readonly context: number;
  /** The chunks to score, `count` × `context` ids. */
  readonly ids: Int32Array;
  readonly count: number;
  readonly writeLogits?: { readonly path: string; readonly offset: number };
  readonly readLogits?: { readonly path: string; readonly offset: number };
}

export interface ScoreReply {
  readonly nll: Float64Array;
  readonly referenceNll?: Float64Array;
  readonly kld?: Float64Array;
  readonly sameTop?: Uint8Array;
}

export class LoadedModelHandle {
  readonly vocabSize: number;
  readonly addBos: boolean;
  readonly bos: number;
  readonly contextTrain: number;
  readonly #library: LlamaLibrary;
  readonly #pool: ScorePool;
  readonly #model: Pointer;
  readonly #vocab: Pointer;
  readonly #threads: number;
  #context: { pointer: Pointer; tokens: number; sequences: number } | undefined;

  constructor(library: LlamaLibrary, pool: ScorePool, request: LoadRequest) {
    this.#library = library;
    this.#pool = pool;
    this.#threads = request.threads;
    const params = library.modelDefaults();
    params.n_gpu_layers = request.gpuLayers;
    const model = library.loadModel(request.model, params);
    if (model === null) throw new Error(`llama.cpp could not load ${request.model}`);
    this.#model = model;
    this.#vocab = library.vocab(model);
    this.vocabSize = library.vocabSize(this.#vocab);
    this.addBos = library.addBos(this.#vocab);
    this.bos = library.vocabBos(this.#vocab);
    this.contextTrain = library.contextTrain(model);
  }

  close(): void {
    if (this.#context !== undefined) this.#library.freeContext(this.#context.pointer);
    this.#context = undefined;
    this.#library.freeModel(this.#model);
  }

  tokenize(text: string): Int32Array {
    const bytes = new TextEncoder().encode(text);
    const room = new Int32Array(bytes.length + 16);
    const count = this.#library.tokenize(this.#vocab, bytes, bytes.length, room, room.length, true, false);
    if (count < 0) throw new Error(`llama_tokenize failed (${count})`);
    return room.slice(0, count);
  }

  detokenize(ids: Int32Array): string {
    let room = new Uint8Array(ids.length * 8 + 64);
    let length = this.#library.detokenize(this.#vocab, ids, ids.length, room, room.length, false, true);
    if (length < 0) {
      room = new Uint8Array(-length);
      length = this.#library.detokenize(this.#vocab, ids, ids.length, room, room.length, false, true);
    }
    return new TextDecoder().decode(room.subarray(0, Math.max(0, length)));
  }

  /** Chunks of this context that are decoded together. */
  chunksPerBatch(context: number): number {
    const fitting = Math.floor(LOGITS_BYTES / (Math.ceil(context / 2) * this.vocabSize * 4));
    return Math.max(1, Math.min(Math.floor(BATCH_TOKENS / context), fitting));
  }

  /** Decode and score chunks; several calls of chunksPerBatch chunks each when there are more. */
  async score(request: ScoreRequest, records?: Uint16Array): Promise<ScoreReply> {
    const { context, count } = request;
    const scored = context - 1 - Math.floor(context / 2);
    const compares = request.readLogits !== undefined || (records !== undefined && request.writeLogits === undefined);
    const reply = {
      nll: sharedDoubles(count * scored),
      ...(compares
        ? {
            referenceNll: sharedDoubles(count * scored),
            kld: sharedDoubles(count * scored),
            sameTop: new Uint8Array(new SharedArrayBuffer(count * scored)),
          }
        : {}),
    };
    const perBatch = this.chunksPerBatch(context);
    for (let chunk = 0; chunk < count; chunk += perBatch) {
      const chunks = Math.min(perBatch, count - chunk);
      await this.#scoreBatch(request, reply, chunk, chunks, records);
    }
    return reply;
  }

  /** The records of these chunks, as the logits file would hold them. */
  async encode(request: ScoreRequest): Promise<{ records: Uint16Array; nll: Float64Array }> {
    const { context, count } = request;
    const scored = context - 1 - Math.floor(context / 2);
    const records = sharedRecords(count * scored * recordLength(this.vocabSize));
    const nll = sharedDoubles(count * scored);
    const perBatch = this.chunksPerBatch(context);
    for (let chunk = 0; chunk < count; chunk += perBatch) {
      const chunks = Math.min(perBatch, count - chunk);
      const task = this.#decode(request, chunk, chunks);
      const length = recordLength(this.vocabSize);
      await this.#pool.run({
        ...task,
        mode: "encode",
        nll: nll.subarray(chunk * scored, (chunk + chunks) * scored),
        records: records.subarray(chunk * scored * length, (chunk + chunks) * scored * length),
      });
    }
    return { records, nll };
  }

  async #scoreBatch(
    request: ScoreRequest,
    reply: ScoreReply,
    chunk: number,
    chunks: number,
    given?: Uint16Array,
  ): Promise<void> {
    const scored = request.context - 1 - Math.floor(request.context / 2);
    const [from, to] = [chunk * scored, (chunk + chunks) * scored];
    const length = recordLength(this.vocabSize);
    const base = this.#decode(request, chunk, chunks);
    const nll = reply.nll.subarray(from, to);
    const fileBytes = from * length * 2;
    if (request.writeLogits !== undefined) {
      const records = sharedRecords((to - from) * length);
      await this.#pool.run({ ...base, mode: "encode", nll, records });
      writeAll(request.writeLogits.path, request.writeLogits.offset + fileBytes, records);
      return;
    }
    if (reply.kld === undefined || reply.referenceNll === undefined || reply.sameTop === undefined) {
      await this.#pool.run({ ...base, mode: "nll", nll });
      return;
    }
    const records =
      given?.subarray(from * length, to * length) ??
      readAll(request.readLogits as { path: string; offset: number }, fileBytes, (to - from) * length);
    await this.#pool.run({
      ...base,
      mode: "compare",
      nll,
      records,
      referenceNll: reply.referenceNll.subarray(from, to),
      kld: reply.kld.subarray(from, to),
      sameTop: reply.sameTop.subarray(from, to),
    });
  }

  /** Decode `chunks` chunks in one batch; the task's logits stay valid until the next decode. */
  #decode(request: ScoreRequest, chunk: number, chunks: number): Omit<ScoreTask, "mode" | "nll"> {
    const { context, ids } = request;
    const first = Math.floor(context / 2);
    const scored = context - 1 - first;
    const tokens = ids.slice(chunk * context, (chunk + chunks) * context);
    const targets = new Int32Array(new SharedArrayBuffer(chunks * scored * 4));
    for (let sequence = 0; sequence < chunks; sequence++) {
      const start = sequence * context;
      targets.set(tokens.subarray(start + first + 1, start + first + 1 + scored), sequence * scored);
      if (this.addBos) tokens[start] = this.bos;
    }
    const positions = Int32Array.from(tokens, (_, i) => i % context);
    const sequences = Int32Array.from(tokens, (_, i) => Math.floor(i / context));
    const outputs = Int8Array.from(positions, (position) => (position >= first ? 1 : 0));
    const logits = this.#run(
      { tokens, positions, sequences, outputs },
      context * this.chunksPerBatch(context),
      this.chunksPerBatch(context),
    );
    return {
      logits,
      vocabSize: this.vocabSize,
      sequences: chunks,
      rowsPerSequence: context - first,
      scoredPerSequence: scored,
      targets,
    };
  }

  /** Sample `sequences` sequences of `length` ids at temperature 1, all from the start token. */
  sample(
    sequences: number,
    length: number,
    random: readonly (() => number)[],
    onStep: (done: number) => void,
  ): Int32Array {
    const start = this.bos >= 0 ? this.bos : Math.max(0, this.#library.vocabEos(this.#vocab));
    const ids = new Int32Array(sequences * length);
    const current = new Int32Array(sequences).fill(start);
    const context = this.#open(sequences * length, sequences);
    this.#library.clearMemory(this.#library.memory(context), true);
    const sequence = Int32Array.from(current, (_, i) => i);
    const outputs = new Int8Array(sequences).fill(1);
    for (let position = 0; position < length; position++) {
      for (let s = 0; s < sequences; s++) ids[s * length + position] = current[s] as number;
      if (position === length - 1) break;
      const positions = new Int32Array(sequences).fill(position);
      const pointer = this.#decodeBatch(context, { tokens: current, positions, sequences: sequence, outputs });
      const logits = new Float32Array(koffi.view(pointer, sequences * this.vocabSize * 4));
      for (let s = 0; s < sequences; s++) {
        const row = logits.subarray(s * this.vocabSize, (s + 1) * this.vocabSize);
        current[s] = drawToken(row, (random[s] as () => number)());
      }
      onStep(position + 1);
    }
    return ids;
  }

  #run(batch: Batch, tokens: number, sequences: number): Pointer {
    const context = this.#open(tokens, sequences);
    this.#library.clearMemory(this.#library.memory(context), true);
    return this.#decodeBatch(context, batch);
  }

  #decodeBatch(context: Pointer, batch: Batch): Pointer {
    const count = batch.tokens.length;
    const ones = new Int32Array(count).fill(1);
    const base = koffi.address(batch.sequences);
    const sequencePointers = BigUint64Array.from(batch.sequences, (_, i) => base + BigInt(i * 4));
    const code = this.#library.decode(context, {
      n_tokens: count,
      token: batch.tokens,
      embd: null,
      pos: batch.positions,
      n_seq_id: ones,
      seq_id: sequencePointers,
      logits: batch.outputs,
    });
    if (code !== 0) throw new Error(`llama_decode failed with code ${code} on ${count} tokens`);
    const logits = this.#library.logits(context);
    if (logits === null) throw new Error("the model gives no logits (an encoder or embedding model has no perplexity)");
    return logits;
  }

  /** The context, made anew when another shape is asked for. */
  #open(tokens: number, sequences: number): Pointer {
    if (this.#context?.tokens === tokens && this.#context.sequences === sequences) return this.#context.pointer;
    if (this.#context !== undefined) this.#library.freeContext(this.#context.pointer);
    this.#context = undefined;
    const params = this.#library.contextDefaults();
    params.n_ctx = tokens;
    params.n_seq_max = sequences;
    params.n_batch = Math.max(Math.min(tokens, BATCH_TOKENS), Math.ceil(tokens / sequences));
    params.n_outputs_max = 0;
    params.n_outputs_max_per_seq = 0;
    params.n_threads = this.#threads;
    params.n_threads_batch = this.#threads;
    params.swa_full = false;
    const pointer = this.#library.initContext(this.#model, params);
    if (pointer === null) throw new Error(`llama.cpp could not make a context of ${tokens} tokens`);
    this.#context = { pointer, tokens, sequences };
    return pointer;
  }
}

interface Batch {
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  readonly sequences: Int32Array;
  readonly outputs: Int8Array;
}

/** The token where the cumulative probability passes `u`. */
function drawToken(logits: Float32Array, u: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const x of logits) if (x > max) max = x;
  let sum = 0;
  for (const x of logits) sum += Math.exp(x - max);
  let left = u * sum;
  for (let i = 0; i < logits.length; i++) {
    left -= Math.exp((logits[i] as number) - max);
    if (left <= 0) return i;
  }
  if (!(sum > 0)) throw new Error("the model's logits are not finite: NaN or infinite weights?");
  return logits.length - 1;
}

function sharedDoubles(length: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(length * 8));
}

function sharedRecords(length: number): Uint16Array {
  return new Uint16Array(new SharedArrayBuffer(length * 2));
}

function writeAll(path: string, offset: number, records: Uint16Array): void {
  const bytes = new Uint8Array(records.buffer, records.byteOffset, records.byteLength);
  const file = openSync(path, "r+");
  try {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(file, bytes, done, bytes.length - done, offset + done);
    }
  } finally {
    closeSync(file);
  }
}

function readAll(from: { path: string; offset: number }, skip: number, length: number): Uint16Array {
  const records = sharedRecords(length);
  const bytes = new Uint8Array(records.buffer);
  const file = openSync(from.path, "r");
  try {
    for (let done = 0; done < bytes.length; ) {
      const got = readSync(file, bytes, done, bytes.length - done, from.offset + skip + done);
      if (got === 0) throw new Error(`${from.path} ends inside a chunk's logits; delete it and evaluate again`);
      done += got;
    }
  } finally {
    closeSync(file);
  }
  return records;
}
