/** Models that embed: what they do with their hidden states, and texts in the embedded engine turned to vectors of length 1. */
import type { Bench } from "../bench.ts";
import type { JointTokens } from "../engine/engine.ts";
import { EngineError, FormatError, UsageError } from "../errors.ts";
import { type EmbeddingPooling, givesHiddenStates } from "../ggml/model-facts.ts";
import type { Model, OpenModel } from "../gguf/model.ts";
import { poolingFindings } from "../preflight/pooling-findings.ts";
import { hasRankHead } from "../preflight/rank-head.ts";
import { beginningOf } from "../rerank/beginning-of.ts";

/** Whether a model is made to embed. */
export function isEmbedder({ model, facts }: Pick<OpenModel, "model" | "facts">): boolean {
  return givesHiddenStates(facts) && !hasRankHead(model);
}

/** Longer texts are cut unless asked otherwise: memory grows with the context. */
export const DEFAULT_EMBED_CONTEXT = 8192;

/** Tokens decoded between two looks at whether to stop. */
const TOKENS_PER_CALL = 2048;

export interface EmbedderOptions {
  /** Most tokens of a text; never more than the model was trained with. */
  readonly context?: number | undefined;
  /** In the place of the model's own. */
  readonly pooling?: EmbeddingPooling | undefined;
}

export interface EmbeddedText {
  /** Of Euclidean length 1, as llama-server gives them. */
  readonly vector: Float32Array;
  readonly tokens: number;
  /** Whether the text was cut to fit the context. */
  readonly truncated: boolean;
}

export interface Embedder {
  readonly pooling: EmbeddingPooling;
  /** Longest text in tokens. */
  readonly contextTokens: number;
  /** In the order of the texts. Throws the reason of an aborted signal, UsageError for a text without a token. */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<EmbeddedText[]>;
  close(): Promise<void>;
}

/** How a model pools. Throws FormatError where it does not say, or gives none. */
export function poolingOf(
  { model, facts }: { readonly model: Model } & Pick<OpenModel, "facts">,
  asked?: EmbeddingPooling,
): EmbeddingPooling {
  const [wrong] = poolingFindings(model);
  if (wrong !== undefined) throw new FormatError(model.path, `${wrong.message}; ${wrong.remedy}`);
  const pooling = asked ?? facts.embeddingPooling;
  if (pooling !== undefined) return pooling;
  throw new FormatError(
    model.path,
    `does not say how its hidden states become an embedding (${model.arch}.pooling_type); say it with --pooling mean, cls or last`,
  );
}

/** Load a model to embed with. Throws EngineError where llama.cpp can't, FormatError as poolingOf. */
export async function openEmbedder(
  open: Pick<OpenModel, "path" | "model" | "facts">,
  { context = DEFAULT_EMBED_CONTEXT, pooling: asked }: EmbedderOptions,
  { engine, threads, gpuLayers, signal: stop }: Pick<Bench, "engine" | "threads" | "gpuLayers" | "signal">,
): Promise<Embedder> {
  const pooling = poolingOf(open, asked);
  if (engine.programs !== undefined) {
    throw new EngineError("the programs of llama.cpp can't embed texts here; leave --llama-dir out");
  }
  const ranker = await engine.library.loadRanker({ model: open.path, threads, gpuLayers, signal: stop });
  // beyond the context it was trained with a model has no positions, and llama.cpp may end its process
  const limit = Math.min(context, ranker.contextTrain || Number.POSITIVE_INFINITY);
  const special = { addSpecial: true, parseSpecial: false };

  async function cut(text: string): Promise<Omit<EmbeddedText, "vector"> & { readonly ids: Int32Array }> {
    const beginning = await beginningOf(ranker, text, limit, special);
    const [ids = new Int32Array()] = await ranker.encode([beginning.text], special);
    if (ids.length === 0) throw new UsageError("a text has no token to embed; leave empty texts out");
    return {
      ids: cutToFit(ids, limit, ranker.joints),
      tokens: Math.min(ids.length, limit),
      truncated: ids.length > limit,
    };
  }

  return {
    pooling,
    contextTokens: limit,
    async embed(texts, signal) {
      const made: EmbeddedText[] = [];
      for (let next = 0; next < texts.length; ) {
        signal?.throwIfAborted();
        const taken: Awaited<ReturnType<typeof cut>>[] = [];
        for (let tokens = 0; tokens < TOKENS_PER_CALL && next + taken.length < texts.length; ) {
          const one = await cut(texts[next + taken.length] as string);
          taken.push(one);
          tokens += one.tokens;
        }
        const pooled = await ranker.pool(
          taken.map(({ ids }) => ids),
          { pooling, signal: signal ?? stop },
        );
        for (const [index, { tokens, truncated }] of taken.entries()) {
          made.push({ vector: toUnitLength(open.path, pooled[index] as Float32Array), tokens, truncated });
        }
        next += taken.length;
      }
      return made;
    },
    close: () => ranker.close(),
  };
}

/** What the model ends a text with, and "last" pools, stays. */
function cutToFit(ids: Int32Array, limit: number, { eos, sep }: JointTokens): Int32Array {
  if (ids.length <= limit) return ids;
  const kept = ids.slice(0, limit);
  const last = ids[ids.length - 1] as number;
  if (last === eos || last === sep) kept[limit - 1] = last;
  return kept;
}

/** Throws EngineError for a vector of no direction. */
function toUnitLength(path: string, vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  if (Number.isFinite(length) && length > 0) return vector.map((value) => value / length);
  throw new EngineError(
    `${path} embeds a text as a vector of length ${length}, expected a finite one above 0; its weights are damaged`,
  );
}

/** Of two vectors of length 1. */
export function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}
