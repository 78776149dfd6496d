/**
 * A reference, a text and the chunks of it that are scored, opened once for any number of models: each further model
 * costs one pass. Everything evaluated in one session saw the same tokens.
 */
import type { LoadedModel, ScoreOptions } from "../engine/engine.ts";
import { scoredTokens } from "../engine/logits-file.ts";
import { FormatError } from "../errors.ts";
import { describeModel, type ModelDescription } from "./describe-model.ts";
import { chooseContext, chunksAtMost, DEFAULT_CACHE_LIMIT_BYTES, type EvaluateOptions } from "./evaluate-options.ts";
import type { Evaluation, MeanSe, ModelEvaluation } from "./evaluation.ts";
import { chooseChunks, MIN_CHUNKS } from "./length-rule.ts";
import { openProgramsSession } from "./programs-session.ts";
import { keepInUse, referenceLogits } from "./reference.ts";
import { scoreModel } from "./score-model.ts";
import {
  type EvaluationText,
  firstChunks,
  hashIds,
  readText,
  SAMPLED_SEQUENCES,
  type SampleOptions,
  sampleText,
  spreadChunks,
} from "./text.ts";

export interface EvaluationSession {
  readonly text: Evaluation["text"];
  readonly warnings: readonly string[];
  /** The reference, where models are compared with one. */
  readonly reference?: { readonly path: string; readonly headerHash: string };
  /** Perplexity of the reference on the scored tokens; known once a model was evaluated. */
  referencePpl(): MeanSe | undefined;
  evaluateModel(path: string): Promise<ModelEvaluation>;
  close(): Promise<void>;
}

export type SessionOptions = Omit<EvaluateOptions, "models"> & {
  /** The first model to be evaluated: the length rule's pilot. */
  readonly pilot: string;
  /** Chunks at the beginning of the text that may be scored; the rest is kept for other uses. */
  readonly availableChunks?: number;
};

/**
 * Open a session. Throws FileError or FormatError for a model or text that can't be read, UsageError for a text that is
 * too short, EngineError for a model llama.cpp can't run.
 */
export async function openSession(options: SessionOptions): Promise<EvaluationSession> {
  const description = await describeModel(options.reference ?? options.pilot);
  const context = chooseContext(options.context, description.contextTrain);
  if (options.engine.info.kind === "programs") return openProgramsSession(options, description, context);
  // A model that can't be read is said so before the reference is scored for it.
  const pilot = options.pilot === description.path ? description : await describeModel(options.pilot);
  const loaded = await loadModel(description.path, context, options);
  try {
    return await openEmbeddedSession(loaded, context, description, pilot, options);
  } catch (error) {
    await loaded.close();
    throw error;
  }
}

async function openEmbeddedSession(
  loaded: LoadedModel,
  context: number,
  description: ModelDescription,
  pilot: ModelDescription,
  options: SessionOptions,
): Promise<EvaluationSession> {
  const { vocabSize } = loaded;
  const load = (path: string) => loadAlike(path, context, vocabSize, options);
  const textOf = (chunks: number) => sampleText(loaded, sampling(context, chunks, description, options));
  const text =
    options.text === undefined
      ? await textOf(options.chunks ?? SAMPLED_SEQUENCES)
      : await readChunks(loaded, options.text, context, options);
  const comparing = options.reference !== undefined;
  const select = isSpread(options) ? spreadChunks : firstChunks;
  const rule = {
    ...options,
    select,
    models: [options.pilot],
    ...(options.text === undefined ? { lengthen: textOf } : {}),
  };
  const judged = comparing ? await chooseChunks(loaded, text, rule, load) : text;
  const against = comparing ? await openReference(loaded, judged, description, options) : undefined;
  const logits = against !== undefined && "logits" in against ? against.logits : undefined;
  const unused = logits === undefined ? () => undefined : keepInUse(logits);
  // With its logits on disk the reference gives its memory back; without them it is decoded beside every model.
  const kept = logits === undefined ? loaded : undefined;
  if (kept === undefined) await loaded.close();
  let referencePpl: MeanSe | undefined;
  return {
    text: describeText(judged, isSpread(options)),
    warnings: warningsOf(judged, description),
    ...(comparing ? { reference: { path: description.path, headerHash: description.headerHash } } : {}),
    referencePpl: () => referencePpl,
    async evaluateModel(path) {
      const described = path === pilot.path ? pilot : await describeModel(path);
      // Perplexity only: the first model is the one the text was tokenized with, and is loaded already.
      const model = !comparing && path === description.path && kept !== undefined ? kept : await load(path);
      try {
        const scored = await scoreModel(path, model, judged.tokens, against, options, described);
        referencePpl ??= scored.referencePpl;
        return scored.evaluation;
      } finally {
        if (model !== kept) await model.close();
      }
    },
    async close() {
      unused();
      await kept?.close();
    },
  };
}

/** A sampled text has no beginning that differs from the rest. */
function isSpread({ text, spread }: SessionOptions): boolean {
  return text !== undefined && spread === true;
}

async function readChunks(
  loaded: LoadedModel,
  path: string,
  context: number,
  options: SessionOptions,
): Promise<EvaluationText> {
  const { chunks, spread, availableChunks } = options;
  if (!spread || chunks === undefined) return readText(loaded, path, context, chunksAtMost(options));
  const text = await readText(loaded, path, context, availableChunks);
  return { ...text, tokens: spreadChunks(text.tokens, chunks) };
}

function loadModel(model: string, context: number, options: SessionOptions): Promise<LoadedModel> {
  const { engine, threads, gpuLayers, signal } = options;
  return engine.load({ model, context, threads, gpuLayers, ...(signal === undefined ? {} : { signal }) });
}

/** Load a model of the same vocabulary. Throws FormatError for another. */
async function loadAlike(
  path: string,
  context: number,
  vocabSize: number,
  options: SessionOptions,
): Promise<LoadedModel> {
  const model = await loadModel(path, context, options);
  if (model.vocabSize === vocabSize) return model;
  await model.close();
  throw new FormatError(
    path,
    `its vocabulary has ${model.vocabSize} tokens, the reference's ${vocabSize}; evaluate it against the model it was made from`,
  );
}

function sampling(
  context: number,
  chunks: number,
  { fingerprint }: ModelDescription,
  { seed, cacheDir, signal, onNote, onProgress }: SessionOptions,
): SampleOptions {
  return {
    context,
    chunks,
    seed,
    fingerprint,
    ...(cacheDir === undefined ? {} : { cacheDir }),
    ...(signal === undefined ? {} : { signal }),
    ...(onNote === undefined ? {} : { onNote }),
    onProgress: (done, total) => onProgress?.("sampling text", done, total),
  };
}

function openReference(
  loaded: LoadedModel,
  text: EvaluationText,
  reference: ModelDescription,
  options: SessionOptions,
): Promise<NonNullable<ScoreOptions["reference"]>> {
  return referenceLogits(loaded, text.tokens, {
    engine: options.engine,
    fingerprint: reference.fingerprint,
    cacheDir: options.cacheDir,
    cacheLimitBytes: options.cacheLimitBytes ?? DEFAULT_CACHE_LIMIT_BYTES,
    gpuLayers: options.gpuLayers,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onProgress: (done, total) => options.onProgress?.("reference", done, total),
  });
}

function describeText(text: EvaluationText, spread: boolean): Evaluation["text"] {
  const { context, chunks } = text.tokens;
  return {
    source: text.source,
    ...(text.path === undefined ? {} : { path: text.path }),
    sha256: text.fileHash ?? hashIds(text.tokens.ids),
    ...(text.seed === undefined ? {} : { seed: text.seed }),
    context,
    chunks,
    ...(spread ? { spread: true as const } : {}),
    tokens: chunks * scoredTokens(context),
  };
}

function warningsOf({ tokens: { chunks, context } }: EvaluationText, { contextTrain }: ModelDescription): string[] {
  return [
    ...(chunks < MIN_CHUNKS
      ? [`only ${chunks} chunks were scored; fewer than ${MIN_CHUNKS} give no verdict: use a longer text`]
      : []),
    ...(contextTrain > 0 && context > contextTrain
      ? [`a context of ${context} is longer than the ${contextTrain} tokens the model was trained with`]
      : []),
  ];
}
