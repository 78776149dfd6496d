/** A model loaded in the embedded engine's child process, as the stages see it. */

import { FormatError } from "../errors.ts";
import { present } from "../present.ts";
import type { LoadCall } from "./child/loaded-model.ts";
import type { ScoreReply, ScoreRequest } from "./child/score-chunks.ts";
import type { EngineChild } from "./child-process.ts";
import type { ImportanceSums, LoadedModel, ModelLoadOptions, ScoreOptions, TokenScores } from "./engine.ts";
import { logitsOffset } from "./logits-file.ts";

export interface LoadReply {
  readonly vocabSize: number;
  readonly addBos: boolean;
  readonly bos: number;
  readonly contextTrain: number;
  readonly chunksPerBatch: number;
}

/**
 * The numbers loaded models are called by. Never used twice, so that a number from before a crash can't mean another
 * model in the process after it.
 */
const handles = new WeakMap<LoadedModel, number>();
let nextHandle = 1;

/** A number that no model was called by before. */
export function takeHandle(): number {
  return nextHandle++;
}

/** Load a model. Throws EngineError where llama.cpp can't. */
export async function loadEmbedded(child: EngineChild, options: ModelLoadOptions): Promise<LoadedModel> {
  const { model, context, threads, gpuLayers, mapped = false } = options;
  const handle = takeHandle();
  const request: LoadCall & { context: number } = { handle, model, context, threads, gpuLayers, mapped };
  const reply = await child.call<LoadReply>("load", request, { signal: options.signal });
  const { generation } = child;
  let closed = false;
  const loaded: LoadedModel = {
    ...reply,
    tokenize: (text) => child.call("tokenize", { handle, text }),
    detokenize: (ids) => child.call("detokenize", { handle, ids }),
    async sample({ sequences, length, seed, signal, onProgress }) {
      const ids = await child.call<Int32Array>(
        "sample",
        { handle, sequences, length, seed },
        {
          signal,
          onProgress: (done) => onProgress?.(done, length),
        },
      );
      if (ids.some((id) => id < 0)) throw new FormatError(model, `the model's logits are ${DAMAGED}`);
      return ids;
    },
    async importance({ tokens: { ids, context, chunks }, signal, onProgress }) {
      const entries = await child.call<Map<string, ImportanceSums>>(
        "importance",
        { handle, ids, context },
        {
          signal,
          onProgress: (done) => onProgress?.(done, chunks),
        },
      );
      for (const { sums } of entries.values()) {
        if (sums.some(notFinite)) throw new FormatError(model, `the inputs of its weights are ${DAMAGED}`);
      }
      return entries;
    },
    score: (score) => scoreChunks(child, handle, reply.vocabSize, model, score),
    async close() {
      if (closed || child.generation !== generation) return;
      closed = true;
      await child.call("unload", handle);
    },
  };
  handles.set(loaded, handle);
  return loaded;
}

async function scoreChunks(
  child: EngineChild,
  handle: number,
  vocabSize: number,
  path: string,
  options: ScoreOptions,
): Promise<TokenScores> {
  const { tokens, first, count, reference, writeLogits, signal } = options;
  const { context } = tokens;
  const offset = logitsOffset({ context, chunks: tokens.chunks, vocabSize }, first);
  const request: ScoreRequest = {
    context,
    ids: tokens.ids.slice(first * context, (first + count) * context),
    ...(writeLogits === undefined ? {} : { writeLogits: { path: writeLogits, offset } }),
    ...(reference !== undefined && "logits" in reference ? { readLogits: { path: reference.logits, offset } } : {}),
  };
  const referenceHandle = reference !== undefined && "loaded" in reference ? handles.get(reference.loaded) : undefined;
  const scores = await child.call<ScoreReply>(
    "score",
    { handle, request, ...present({ reference: referenceHandle }) },
    { signal },
  );
  checkFinite(path, scores);
  return scores;
}

const DAMAGED = "NaN or infinite: weights or scales are damaged; convert or quantize it again";

/** Throw FormatError where a score is NaN or infinite: one such weight or scale spoils every logit. */
function checkFinite(path: string, { nll, referenceNll, kld }: TokenScores): void {
  if (nll.some(notFinite)) throw new FormatError(path, `the model's logits are ${DAMAGED}`);
  if (referenceNll?.some(notFinite) || kld?.some(notFinite)) {
    throw new FormatError(path, `the logits of the reference it is compared with are ${DAMAGED}`);
  }
}

function notFinite(value: number): boolean {
  return !Number.isFinite(value);
}
