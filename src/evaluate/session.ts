/**
 * A reference, a text and the chunks of it that are scored, opened once for any number of models: each further model
 * costs one pass. Everything evaluated in one session saw the same tokens.
 */
import type { Bench } from "../bench.ts";
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import type { KvTypes } from "../footprint/context-size.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { compareVocabularies } from "../intake/same-vocabulary.ts";
import { refuseProjector } from "../intake/source-checks.ts";
import { present } from "../present.ts";
import { checkFigures } from "./check-figures.ts";
import { describeText, textWarnings } from "./describe-text.ts";
import { chooseContext, chunksAtMost, type MoreFigures, type TextRequest } from "./evaluate-options.ts";
import { type Evaluation, type KindFigures, type MeanSe, type ModelEvaluation, PPL } from "./evaluation.ts";
import { chooseChunks } from "./length-rule.ts";
import { loadModel } from "./load-model.ts";
import { calibrated, scoreKinds, scoreWithCache } from "./more-figures.ts";
import { openProgramsSession } from "./programs-session.ts";
import { keepInUse, type ReferenceLogits, referenceLogits } from "./reference.ts";
import { type ScoredModel, scoreModel } from "./score-model.ts";
import {
  type EvaluationText,
  firstChunks,
  readText,
  readTextFile,
  SAMPLED_SEQUENCES,
  sampleText,
  spreadChunks,
} from "./text.ts";
import { readKinds } from "./text-kinds.ts";
import { openTokenGate, SAME_COUNT, textCutter } from "./token-gate.ts";

export interface EvaluationSession {
  readonly text: Evaluation["text"];
  /** Grows with the models that are evaluated. */
  readonly warnings: readonly string[];
  /** The reference, where models are compared with one. */
  readonly reference?: { readonly path: string; readonly headerHash: string } | undefined;
  /** Perplexity of the reference on the scored tokens; known once a model was evaluated. */
  referencePpl(): MeanSe | undefined;
  /** `more`: measure what the session was asked for beside the text too; by default it is. */
  evaluateModel(model: OpenModel, more?: boolean): Promise<ModelEvaluation>;
  close(): Promise<void>;
}

export interface SessionModels {
  /** What models are compared with. */
  readonly reference?: OpenModel | undefined;
  /** The first model to be evaluated: the length rule's pilot. */
  readonly pilot: OpenModel;
  /** Others that are known to come: their tokens are looked at before anything is decoded. */
  readonly others?: readonly OpenModel[] | undefined;
}

export interface SessionRequest extends TextRequest, MoreFigures {
  /** Chunks at the beginning of the text that may be scored; the rest is kept for other uses. */
  readonly availableChunks?: number | undefined;
}

/**
 * Open a session. Throws FileError or FormatError for a model or text that can't be read and for a model of other tokens,
 * UsageError for a text that is too short, EngineError for a model llama.cpp can't run.
 */
export async function openSession(
  models: SessionModels,
  request: SessionRequest,
  bench: Bench,
): Promise<EvaluationSession> {
  const base = models.reference ?? models.pilot;
  refuseProjector(base.model);
  for (const { model } of [models.pilot, ...(models.others ?? [])]) {
    refuseProjector(model);
    compareVocabularies(model, base.model, SAME_COUNT);
  }
  const context = chooseContext(request.context, base.facts.contextTrain);
  const { programs } = bench.engine;
  if (programs !== undefined) return openProgramsSession(programs, models, { ...request, context }, bench);
  const loaded = await loadModel(base.path, { context }, bench);
  try {
    return await openEmbeddedSession(loaded, models, { ...request, context }, bench);
  } catch (error) {
    await loaded.close();
    throw error;
  }
}

async function openEmbeddedSession(
  loaded: LoadedModel,
  { reference, pilot, others = [] }: SessionModels,
  request: SessionRequest & { readonly context: number },
  bench: Bench,
): Promise<EvaluationSession> {
  const { context } = request;
  const base = reference ?? pilot;
  const load = (path: string, kv?: KvTypes) => loadModel(path, { context, vocabSize: loaded.vocabSize, kv }, bench);
  const textOf = (chunks: number) => sampleText(loaded, base, { context, chunks }, bench);
  const text =
    request.text === undefined
      ? await textOf(request.chunks ?? SAMPLED_SEQUENCES)
      : await readChunks(loaded, request.text, request);
  const written = await writtenText(loaded, text);
  const kinds = request.kinds && (await readKinds(loaded, request.kinds, request));
  const texts = [written, ...(kinds?.texts ?? [])];
  const gate = openTokenGate(base, { texts, load: textCutter(context, bench) }, SAME_COUNT);
  for (const model of [pilot, ...others]) await gate.admit(model);
  const spread = isSpread(request);
  const rule = {
    chunks: request.chunks,
    select: spread ? spreadChunks : firstChunks,
    lengthen: request.text === undefined ? textOf : undefined,
  };
  const judged = reference === undefined ? text : await chooseChunks(loaded, text, () => load(pilot.path), rule, bench);
  const inUse: (() => void)[] = [];
  const logitsOf = async (tokens: EvaluationTokens): Promise<ReferenceLogits | undefined> => {
    const found = reference && (await referenceLogits(loaded, tokens, reference, bench));
    if (found !== undefined && "logits" in found) inUse.push(keepInUse(found.logits));
    return found;
  };
  const against = await logitsOf(judged.tokens);
  const kindsAgainst = kinds && (await logitsOf(kinds.tokens));
  // With its logits on disk the reference gives its memory back; without them it is decoded beside every model.
  const needed = [against, ...(kinds === undefined ? [] : [kindsAgainst])];
  const kept = needed.every((logits) => logits !== undefined && "logits" in logits) ? undefined : loaded;
  if (kept === undefined) await loaded.close();
  const notes = new Set<string>();
  let referencePpl: MeanSe | undefined;
  return {
    text: describeText(judged, spread),
    get warnings() {
      return [...textWarnings(judged, base), ...gate.notes, ...notes];
    },
    reference: reference && { path: reference.path, headerHash: reference.model.headerHash },
    referencePpl: () => referencePpl,
    async evaluateModel(model, more = true) {
      refuseProjector(model.model);
      await gate.admit(model);
      // Perplexity only: the first model is the one the text was tokenized with, and is loaded already.
      const isBase = reference === undefined && model.path === base.path && kept !== undefined;
      const own = isBase ? kept : await load(model.path);
      let scored: ScoredModel;
      let ofKinds: KindFigures[] | undefined;
      try {
        scored = await scoreModel(model, own, judged.tokens, against, bench);
        if (kinds && more) ofKinds = await scoreKinds(model, own, kinds, kindsAgainst, bench);
      } finally {
        if (own !== kept) await own.close();
      }
      const { kv } = request;
      const text = { tokens: judged.tokens, against };
      const kvCache = kv && more ? await scoreWithCache(model, kv, load, text, bench) : undefined;
      for (const read of [model, base]) await requireUnchanged(read, bench);
      if (ofKinds !== undefined && request.kinds === true) for (const note of calibrated(model)) notes.add(note);
      referencePpl ??= scored.referencePpl && checkFigures(base.path, PPL, scored.referencePpl);
      return { ...scored.evaluation, ...present({ kinds: ofKinds, kvCache }) };
    },
    async close() {
      for (const done of inUse) done();
      await kept?.close();
    },
  };
}

/** The text as it was written: a sampled one is what its tokens say. */
async function writtenText(loaded: LoadedModel, { path, tokens }: EvaluationText): Promise<string> {
  return path === undefined ? loaded.detokenize(tokens.ids) : (await readTextFile(path)).text;
}

/** A sampled text has no beginning that differs from the rest. */
function isSpread({ text, spread }: SessionRequest): boolean {
  return text !== undefined && spread === true;
}

async function readChunks(
  loaded: LoadedModel,
  path: string,
  { context, chunks, spread, availableChunks }: SessionRequest & { readonly context: number },
): Promise<EvaluationText> {
  if (!spread || chunks === undefined) return readText(loaded, path, context, chunksAtMost(chunks, availableChunks));
  const text = await readText(loaded, path, context, availableChunks);
  return { ...text, tokens: spreadChunks(text.tokens, chunks) };
}
