/**
 * Models + reference + text → Evaluation: perplexity and KL divergence as llama-perplexity defines them.
 * Goes on until SE(KLD) ≤ 5 % of KLD or the text ends, never fewer than 20 chunks for a verdict; all models of one
 * evaluation see the same chunks, so that they can be compared pairwise.
 */
import type { Engine, LoadedModel, ModelLoadOptions, ScoreOptions } from "../engine/engine.ts";
import { scoredTokens } from "../engine/logits-file.ts";
import { FormatError, UsageError } from "../errors.ts";
import { PRISM_VERSION } from "../version.ts";
import { describeModel, type ModelDescription } from "./describe-model.ts";
import { evaluateWithPrograms } from "./evaluate-programs.ts";
import { EVALUATION_SCHEMA, type Evaluation, type MeanSe } from "./evaluation.ts";
import { chooseChunks, MIN_CHUNKS } from "./length-rule.ts";
import { referenceLogits } from "./reference.ts";
import { type ScoredModel, scoreModel } from "./score-model.ts";
import { type EvaluationText, readText, SAMPLED_CHUNKS, sampleText } from "./text.ts";

/** llama-perplexity's default context. */
export const DEFAULT_CONTEXT = 512;
/** Reference logits kept on disk unless --cache-limit says otherwise. */
export const DEFAULT_CACHE_LIMIT_BYTES = 16e9;

export interface EvaluateOptions {
  readonly engine: Engine;
  /** Models to evaluate. */
  readonly models: readonly string[];
  /** What they are compared with; without one, perplexity only. */
  readonly reference?: string;
  /** A text file; without one the text is sampled from the reference. */
  readonly text?: string;
  /** Tokens per chunk; by default 512, or the model's own context if smaller. */
  readonly context?: number;
  /** Exactly this many chunks (at most what the text has); without it the length rule. */
  readonly chunks?: number;
  readonly seed: number;
  readonly threads: number;
  readonly gpuLayers: number;
  /** Where sampled texts and logits are kept; absent: nowhere. */
  readonly cacheDir?: string;
  readonly cacheLimitBytes?: number;
  readonly signal?: AbortSignal;
  readonly onNote?: (note: string) => void;
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** Evaluate. Throws UsageError for a text that is too short, FormatError for a model of another vocabulary. */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const referencePath = options.reference ?? options.models[0];
  if (referencePath === undefined) throw new UsageError("nothing to evaluate; name at least one model");
  const reference = await describeModel(referencePath);
  const context = chooseContext(options.context, reference.contextTrain);
  if (options.engine.info.kind === "programs") return evaluateWithPrograms(options, reference, context);
  const load: Load = (model) =>
    options.engine.load({
      model,
      context,
      threads: options.threads,
      gpuLayers: options.gpuLayers,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  const loaded = await load(referencePath);
  const text = await resolveText(loaded, context, reference, options);
  if (options.reference === undefined) {
    return assemble(options, text, await scoreAll(options, text, loaded, load, undefined), undefined);
  }
  const judged = await chooseChunks(loaded, text, options, load);
  const against = await referenceLogits(loaded, judged.tokens, {
    engine: options.engine,
    fingerprint: reference.fingerprint,
    cacheDir: options.cacheDir,
    cacheLimitBytes: options.cacheLimitBytes ?? DEFAULT_CACHE_LIMIT_BYTES,
    gpuLayers: options.gpuLayers,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onProgress: (done, total) => options.onProgress?.("reference", done, total),
  });
  // With its logits on disk the reference gives its memory back; without them it is decoded beside every model.
  if ("logits" in against) await loaded.close();
  const scored = await scoreAll(options, judged, loaded, load, against);
  if ("loaded" in against) await loaded.close();
  return assemble(options, judged, scored, reference);
}

type Load = (model: ModelLoadOptions["model"]) => Promise<LoadedModel>;

/** The context to evaluate with: asked for, or 512, or the model's own if that is smaller. */
export function chooseContext(asked: number | undefined, contextTrain: number): number {
  const context = asked ?? Math.min(DEFAULT_CONTEXT, contextTrain || DEFAULT_CONTEXT);
  if (context < 8) throw new UsageError(`a context of ${context} tokens is too short; give --context 64 or more`);
  return context;
}

async function resolveText(
  loaded: LoadedModel,
  context: number,
  reference: ModelDescription,
  options: EvaluateOptions,
): Promise<EvaluationText> {
  if (options.text !== undefined) return readText(loaded, options.text, context, options.chunks);
  return sampleText(loaded, {
    context,
    chunks: options.chunks ?? SAMPLED_CHUNKS,
    seed: options.seed,
    fingerprint: reference.fingerprint,
    ...(options.cacheDir === undefined ? {} : { cacheDir: options.cacheDir }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.onNote === undefined ? {} : { onNote: options.onNote }),
    onProgress: (done, total) => options.onProgress?.("sampling", done, total),
  });
}

async function scoreAll(
  options: EvaluateOptions,
  text: EvaluationText,
  reference: LoadedModel,
  load: Load,
  against: ScoreOptions["reference"],
): Promise<ScoredModel[]> {
  const scored: ScoredModel[] = [];
  for (const path of options.models) {
    // Perplexity only: the first model is the one the text was tokenized with, and is loaded already.
    const isLoaded = against === undefined && path === options.models[0];
    const description = await describeModel(path);
    const model = isLoaded ? reference : await load(path);
    if (model.vocabSize !== reference.vocabSize) {
      throw new FormatError(
        path,
        `its vocabulary has ${model.vocabSize} tokens, the reference's ${reference.vocabSize}; evaluate it against the model it was made from`,
      );
    }
    scored.push(await scoreModel(path, model, text.tokens, against, options, description));
    await model.close();
  }
  return scored;
}

function assemble(
  options: EvaluateOptions,
  text: EvaluationText,
  scored: readonly ScoredModel[],
  reference: ModelDescription | undefined,
): Evaluation {
  const { info } = options.engine;
  const { context, chunks } = text.tokens;
  const referencePpl: MeanSe | undefined = scored[0]?.referencePpl;
  return {
    schema: EVALUATION_SCHEMA,
    prismVersion: PRISM_VERSION,
    createdAt: new Date().toISOString(),
    engine: { kind: info.kind, version: info.version, origin: info.origin, devices: info.devices },
    ...(reference === undefined || referencePpl === undefined
      ? {}
      : { reference: { path: reference.path, headerHash: reference.headerHash, ppl: referencePpl } }),
    text: {
      source: text.source,
      ...(text.path === undefined ? {} : { path: text.path }),
      sha256: text.sha256,
      ...(text.seed === undefined ? {} : { seed: text.seed }),
      context,
      chunks,
      tokens: chunks * scoredTokens(context),
    },
    models: scored.map(({ evaluation }) => evaluation),
    warnings:
      chunks < MIN_CHUNKS
        ? [`only ${chunks} chunks were scored; fewer than ${MIN_CHUNKS} give no verdict: use a longer text`]
        : [],
  };
}
