/** By what probes tell how far a model is from its reference: the KL divergence of its next tokens, or the drift of its vectors. */
import type { Bench } from "../bench.ts";
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { type ReferenceLogits, referenceLogits } from "../evaluate/reference.ts";
import type { OpenModel } from "../gguf/model.ts";

export interface Chunks {
  readonly first: number;
  readonly count: number;
}

/** The reference's side for some tokens: what models are compared with. */
export interface Comparison {
  /** It lasts though the reference itself be degraded. */
  readonly isKept: boolean;
  /** Distance of a model from the reference, part by part of these chunks, equally many of each. */
  measure(model: LoadedModel, chunks: Chunks, signal?: AbortSignal): Promise<Float64Array>;
}

export interface Meter {
  /** Of a distance. */
  readonly unit: "nats" | "drift";
  /** `loaded` is the reference, as it is. */
  refer(loaded: LoadedModel, tokens: EvaluationTokens): Promise<Comparison>;
  /** Decode chunks for nothing, to see how long they take. */
  decode(loaded: LoadedModel, tokens: EvaluationTokens): Promise<unknown>;
}

/** The same comparison for the same tokens, made once where it is kept. */
export function referOnce(refer: (tokens: EvaluationTokens) => Promise<Comparison>) {
  const known = new WeakMap<EvaluationTokens, Promise<Comparison>>();
  return async (tokens: EvaluationTokens): Promise<Comparison> => {
    const comparison = known.get(tokens) ?? refer(tokens);
    known.set(tokens, comparison);
    const made = await comparison;
    // it is of the model that was loaded then
    if (!made.isKept) known.delete(tokens);
    return made;
  };
}

/** KL divergence in nats, token by token. */
export function kldMeter(reference: OpenModel, bench: Bench): Meter {
  return {
    unit: "nats",
    refer: async (loaded, tokens) => compareWith(await referenceLogits(loaded, tokens, reference, bench), tokens),
    decode: decodeChunks,
  };
}

/** The same with logits that were made before; `logitsOf` finds their file. */
export function keptLogitsMeter(logitsOf: (loaded: LoadedModel, tokens: EvaluationTokens) => Promise<string>): Meter {
  return {
    unit: "nats",
    refer: async (loaded, tokens) => compareWith({ logits: await logitsOf(loaded, tokens) }, tokens),
    decode: decodeChunks,
  };
}

function compareWith(logits: ReferenceLogits, tokens: EvaluationTokens): Comparison {
  return {
    isKept: "logits" in logits,
    async measure(model, { first, count }, signal) {
      const { kld = new Float64Array() } = await model.score({ tokens, first, count, reference: logits, signal });
      return kld;
    },
  };
}

const decodeChunks: Meter["decode"] = (loaded, tokens) =>
  loaded.score({ tokens, first: 0, count: Math.min(loaded.chunksPerBatch, tokens.chunks) });
