/**
 * The tokens a model is judged on: the user's text cut as llama-perplexity cuts it (tokenized once, non-overlapping
 * chunks, the tail dropped), or, without one, text sampled from the reference itself at temperature 1 with a fixed
 * seed, which needs no data and weighs every token as the reference would.
 */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { cacheKey } from "../disk/cache-key.ts";
import { readSealed, writeSealed } from "../disk/sealed-file.ts";
import { type FileLimit, readWhole } from "../documents/whole-file.ts";
import type { EvaluationTokens, LoadedModel, SamplingFolder } from "../engine/engine.ts";
import { FormatError, UsageError } from "../errors.ts";
import { identityOf, requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { seedFromName } from "../random.ts";
import { gpuKey } from "./gpu-layers.ts";

export interface EvaluationText {
  readonly source: "file" | "sampled";
  readonly path?: string;
  readonly seed?: number;
  /** SHA-256 of the file; a sampled text is known by the ids that are scored. */
  readonly fileHash?: string;
  readonly tokens: EvaluationTokens;
}

/** Sequences sampled together: the step of a small batch costs about as much as that of one sequence. */
export const SAMPLED_SEQUENCES = 32;

/** A text is one string on its way to the tokenizer, and of 2^29 characters V8 makes none. */
const TEXT: FileLimit = { noun: "a text", maxBytes: 2 ** 28, remedy: "give a part of it, like its first 200 MB" };

/** The bytes of a text file. Throws FileError where it can't be read or is too long. */
export function readTextBytes(path: string): Promise<Buffer> {
  return readWhole(path, TEXT);
}

/**
 * Read a text file as llama-perplexity does: UTF-8, one newline at the end dropped.
 * Throws FileError where it can't be read, FormatError where it is not text in UTF-8.
 */
export async function readTextFile(path: string): Promise<{ text: string; sha256: string }> {
  const bytes = await readTextBytes(path);
  if (!isUtf8(bytes)) {
    throw new FormatError(path, "not UTF-8 text; give a plain text file, or convert it with iconv -t UTF-8");
  }
  // UTF-16 without a mark looks so, and a file of zeros
  const nul = bytes.indexOf(0);
  if (nul >= 0)
    throw new FormatError(path, `has a zero at byte ${nul}, which text doesn't; give a plain text file in UTF-8`);
  const text = bytes.toString("utf8");
  return {
    text: text.endsWith("\n") ? text.slice(0, -1) : text,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  };
}

/**
 * Tokenize a text file. `chunks` limits how many are kept.
 * Throws UsageError where the text is shorter than two contexts, as llama-perplexity demands.
 */
export async function readText(
  model: LoadedModel,
  path: string,
  context: number,
  chunks: number | undefined,
): Promise<EvaluationText & { readonly fileHash: string }> {
  const { text, sha256 } = await readTextFile(path);
  const ids = await model.tokenize(text);
  if (ids.length < 2 * context) {
    throw new UsageError(
      `${path} has ${ids.length} tokens, but an evaluation with a context of ${context} needs at least ${2 * context}; give a longer --text, a smaller --context, or none to sample text from the model`,
    );
  }
  const kept = Math.min(Math.floor(ids.length / context), chunks ?? Number.POSITIVE_INFINITY);
  return {
    source: "file",
    path,
    fileHash: sha256,
    tokens: { context, chunks: kept, ids: ids.slice(0, kept * context) },
  };
}

/** Chunks from all over a text, evenly, in its order: a book's first pages are not the book. */
export function spreadChunks(tokens: EvaluationTokens, chunks: number): EvaluationTokens {
  const { context, chunks: available } = tokens;
  if (chunks >= available) return tokens;
  const ids = new Int32Array(chunks * context);
  for (let index = 0; index < chunks; index++) {
    const from = Math.floor(((index + 0.5) * available) / chunks) * context;
    ids.set(tokens.ids.subarray(from, from + context), index * context);
  }
  return { context, chunks, ids };
}

/** The first chunks of a text. */
export function firstChunks(tokens: EvaluationTokens, chunks: number): EvaluationTokens {
  const { context } = tokens;
  return { context, chunks, ids: tokens.ids.slice(0, chunks * context) };
}

/** Chunks [from, to) of a text. */
export function chunksIn(
  { context, ids }: EvaluationTokens,
  { from, to }: { readonly from: number; readonly to: number },
): EvaluationTokens {
  return { context, chunks: to - from, ids: ids.slice(from * context, to * context) };
}

/** How much text is sampled, and from which seed where it is not the bench's. */
export interface SampleRequest {
  readonly context: number;
  readonly chunks: number;
  readonly seed?: number | undefined;
  /** Why, where it is not to judge by: "to calibrate on". */
  readonly purpose?: string | undefined;
}

/**
 * Sample the text, or take it from the cache. The same model, seed and context give the same text; more chunks only
 * lengthen it.
 */
export async function sampleText(
  model: LoadedModel,
  source: OpenModel,
  { context, chunks, seed: asked, purpose }: SampleRequest,
  bench: Bench,
): Promise<EvaluationText> {
  const seed = asked ?? bench.seed;
  const batches = Math.ceil(chunks / SAMPLED_SEQUENCES);
  const sampled = new Int32Array(batches * SAMPLED_SEQUENCES * context);
  const folder = bench.cache.dir;
  const identity = folder === undefined ? "" : await identityOf(source, bench);
  let estimated = false;
  for (let batch = 0; batch < batches; batch++) {
    const key = cacheKey(["sampled-text/3", identity, context, seed, batch, ...gpuKey(bench)]);
    const path = folder === undefined ? undefined : join(folder, "text", `${key}.tokens`);
    let ids = path === undefined ? undefined : await readIds(path, SAMPLED_SEQUENCES * context, model.vocabSize, bench);
    if (ids === undefined) {
      if (!estimated) bench.progress.note(await describeWork(model, context, batches - batch, purpose));
      estimated = true;
      ids = await model.sample({
        sequences: SAMPLED_SEQUENCES,
        length: context,
        seed: seedFromName(`batch ${batch}`, seed),
        kept: keptSampling(key, bench),
        onNote: bench.progress.note,
        signal: bench.signal,
        onProgress: (done, total) => bench.progress.steps("sampling text", batch * total + done, batches * total),
      });
      await requireUnchanged(source, bench);
      if (path !== undefined) await writeSealed(path, new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
    }
    sampled.set(ids, batch * SAMPLED_SEQUENCES * context);
  }
  return { source: "sampled", seed, tokens: { context, chunks, ids: sampled.slice(0, chunks * context) } };
}

/** Where a batch lies until it is whole, by what else its memory depends on. */
function keptSampling(key: string, { cache, engine }: Bench): SamplingFolder | undefined {
  if (cache.dir === undefined) return undefined;
  const { version, devices } = engine.info;
  const name = cacheKey(["sampling/1", key, version, devices.join()]);
  return { path: join(cache.dir, "sampling", name), limitBytes: cache.logitsLimitBytes };
}

/** SHA-256 (hex) of token ids. */
export function hashIds(ids: Int32Array): string {
  return createHash("sha256")
    .update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength))
    .digest("hex");
}

/** Steps timed for the estimate. */
const TIMED_STEPS = 8;

/** A time for a person: "about 12 s". */
export function aboutSeconds(ms: number): string {
  return ms < 1000 ? "about a second" : `about ${Math.ceil(ms / 1000)} s`;
}

/** Milliseconds for a step of so many sequences. */
export async function timeSampling(model: LoadedModel, sequences: number): Promise<number> {
  const start = performance.now();
  await model.sample({ sequences, length: TIMED_STEPS, seed: 0 });
  return (performance.now() - start) / TIMED_STEPS;
}

async function describeWork(
  model: LoadedModel,
  context: number,
  batches: number,
  purpose: string | undefined,
): Promise<string> {
  const workMs = (await timeSampling(model, SAMPLED_SEQUENCES)) * context * batches;
  const why = purpose === undefined ? "no --text: sampling" : `${purpose}: sampling`;
  return `${why} ${batches * SAMPLED_SEQUENCES} × ${context} tokens from the reference, ${aboutSeconds(workMs)}`;
}

async function readIds(
  path: string,
  count: number,
  vocabSize: number,
  { progress }: Bench,
): Promise<Int32Array | undefined> {
  const bytes = await readSealed(path, progress.note);
  if (bytes === undefined || bytes.length !== count * 4) return undefined;
  const ids = new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  return ids.every((id) => id >= 0 && id < vocabSize) ? ids : undefined;
}
