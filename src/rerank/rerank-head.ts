/** From the outputs of a model to a score from 0 to 1: each head's own activation, once. */
import { FormatError } from "../errors.ts";
import type { DocumentScore, RerankHead } from "../evaluate/rerank-result.ts";

/** How far the outputs of a softmax may be from a sum of 1: they are float32. */
const SOFTMAX_TOLERANCE = 1e-3;

/**
 * Score a document. `outputs` are the values of the head, or of a causal reranker the logits of "yes" and "no" in this
 * order; `relevant` is the index of the one that means "relevant". Throws FormatError where they are no scores.
 */
export function scoreOutputs(
  path: string,
  head: RerankHead,
  outputs: ArrayLike<number>,
  relevant: number,
): DocumentScore {
  const value = outputs[relevant] as number;
  const values = Array.from(outputs);
  if (!values.every(Number.isFinite)) {
    throw new FormatError(
      path,
      "the scores are NaN or infinite: weights or scales are damaged; convert or quantize the model again",
    );
  }
  if (head === "softmax-in-graph") {
    const sum = values.reduce((total, output) => total + output, 0);
    if (Math.abs(sum - 1) > SOFTMAX_TOLERANCE) {
      throw new FormatError(
        path,
        `the outputs of the rank head sum up to ${sum.toPrecision(4)}, expected 1: the head does not fit its labels; convert the model again as a reranker`,
      );
    }
    return { score: clamp(value) };
  }
  if (head === "sigmoid") return { score: sigmoid(value), logit: value };
  if (head === "sigmoid-of-tanh") {
    const logit = undoTanh(path, value);
    return { score: sigmoid(logit), logit };
  }
  const others = values.filter((_, index) => index !== relevant);
  const logit = value - (others[0] as number);
  return { score: sigmoid(logit), logit };
}

/** The float32 next to 1: logits beyond ±8.7 end in ±1 and can't be told apart any more. */
const LARGEST_TANH = 1 - 2 ** -24;

function undoTanh(path: string, value: number): number {
  if (Math.abs(value) > 1) {
    throw new FormatError(
      path,
      `its head gave ${value.toPrecision(4)}, outside −1 to 1: this llama.cpp takes no tanh of it; use v0.5.0`,
    );
  }
  return Math.atanh(Math.min(LARGEST_TANH, Math.max(-LARGEST_TANH, value)));
}

/** The logit of a score. A softmax in the graph gives float32, which ends in 0 and 1: the logit ends at ±16.6. */
export function logitOf({ score, logit }: DocumentScore): number {
  if (logit !== undefined) return logit;
  const inside = Math.min(1 - 2 ** -24, Math.max(2 ** -24, score));
  return Math.log(inside / (1 - inside));
}

/** 1 / (1 + e^−x), without overflow. */
export function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const power = Math.exp(x);
  return power / (1 + power);
}

/** Rounding can put a softmax's output a unit in the last place above 1; what is farther off is no softmax's. */
function clamp(value: number): number {
  const nearest = Math.min(1, Math.max(0, value));
  return Math.abs(value - nearest) < SOFTMAX_TOLERANCE ? nearest : value;
}
