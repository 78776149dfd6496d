/** A model loaded in the embedded engine's child process, as the stages see it. */

import { FormatError } from "../errors.ts";
import { present } from "../present.ts";
import type { ScoreReply, ScoreRequest } from "./child/score-chunks.ts";
import type { EngineChild } from "./child-process.ts";
import type {
  ImportanceSums,
  JointTokens,
  LoadedModel,
  ModelLoadOptions,
  ScoreOptions,
  TokenScores,
} from "./engine.ts";
import { noteModel } from "./files-read.ts";
import { logitsOffset } from "./logits-file.ts";
import { ModelInChild } from "./model-in-child.ts";

const loadedModels = new WeakMap<LoadedModel, ModelInChild>();

/** Load a model. Throws EngineError where llama.cpp can't. */
export async function loadEmbedded(child: EngineChild, options: ModelLoadOptions): Promise<LoadedModel> {
  const [inChild, reply] = await ModelInChild.load(child, options);
  const { handle } = inChild;
  const path = options.model;
  const joints = await inChild.call<JointTokens>("joints", handle, { signal: options.signal });
  const loaded: LoadedModel = {
    ...reply,
    joints,
    tokenize: (text) => inChild.call("tokenize", { handle, text }),
    detokenize: (ids) => inChild.call("detokenize", { handle, ids }),
    async sample({ sequences, length, seed, kept, onNote, signal, onProgress }) {
      const ids = await inChild.call<Int32Array>(
        "sample",
        { handle, sequences, length, seed, ...present({ kept }) },
        {
          signal,
          onNote,
          onProgress: (done) => onProgress?.(done, length),
        },
      );
      if (ids.some((id) => id < 0)) throw new FormatError(path, `the model's logits are ${DAMAGED}`);
      return ids;
    },
    async importance({ tokens: { ids, context, chunks }, head = false, signal, onProgress }) {
      const report = { signal, onProgress: (done: number) => onProgress?.(done, chunks) };
      return checkedSums(path, await inChild.call("importance", { handle, ids, context, head }, report));
    },
    async sampledImportance({ chunks, together, context, seed, head = false, signal, onProgress }) {
      const report = { signal, onProgress: (done: number) => onProgress?.(done, chunks) };
      const asked = { handle, chunks, together, context, seed, head };
      const entries = await inChild.call<Map<string, ImportanceSums>>("sampledImportance", asked, report);
      if (entries.size === 0) throw new FormatError(path, `the model's logits are ${DAMAGED}`);
      return checkedSums(path, entries);
    },
    collectInputs: ({ signal, onProgress, onNote, ...call }) => {
      const total = call.texts.reduce((sum, { chunks }) => sum + chunks, 0);
      const report = { signal, onProgress: (done: number) => onProgress?.(done, total), onNote };
      return inChild.call("collectInputs", { handle, ...call }, report);
    },
    chooseCodes: ({ signal, onProgress, onNote, ...call }) => {
      const report = { signal, onProgress: (done: number) => onProgress?.(done, call.tensors.length), onNote };
      return inChild.call("chooseCodes", { handle, ...call }, report);
    },
    measureGains: ({ candidates, signal, onProgress }) => {
      const onCandidate = (done: number) => onProgress?.(done, candidates.length);
      return inChild.call("measureGains", { handle, candidates }, { signal, onProgress: onCandidate });
    },
    rewrite: ({ signal, ...job }) =>
      inChild.call("rewriteLoaded", { handle, ...job }, { signal, reads: [...inChild.reads, ...noteModel(job.from)] }),
    time: ({ signal, ...call }) => inChild.call("time", { handle, ...call }, { signal }),
    pool: (prompts, { pooling, signal }) => inChild.call("pool", { handle, prompts, pooling, shared: 0 }, { signal }),
    score: (score) => scoreChunks(inChild, reply.vocabSize, path, score),
    close: () => inChild.close(),
  };
  loadedModels.set(loaded, inChild);
  return loaded;
}

function checkedSums(path: string, entries: Map<string, ImportanceSums>): Map<string, ImportanceSums> {
  for (const { sums } of entries.values()) {
    if (sums.some(notFinite)) throw new FormatError(path, `the inputs of its weights are ${DAMAGED}`);
  }
  return entries;
}

async function scoreChunks(
  inChild: ModelInChild,
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
  const other = reference !== undefined && "loaded" in reference ? loadedModels.get(reference.loaded) : undefined;
  const scores = await inChild.call<ScoreReply>(
    "score",
    { handle: inChild.handle, request, ...present({ reference: other?.handle }) },
    { signal, reads: [...inChild.reads, ...(other?.reads ?? [])] },
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
