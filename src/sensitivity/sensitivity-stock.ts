/**
 * What the presets of llama-quantize imply, alone and beside the fitted prior. Where the types of a mix are best, loss
 * falls equally per byte everywhere; D falls fourfold per bit, so a tensor that gets b bits more than another must be
 * 4^b times as sensitive per weight. Rules that were made for other models are no measurement of this one: they count
 * for a part of that only. What each part is worth: research/judge.ts.
 */

import type { Analysis } from "../analyze/analysis.ts";
import type { FileType } from "../ggml/file-types.ts";
import { givesHiddenStates } from "../ggml/model-facts.ts";
import { type RuleTensor, stockTypes } from "../ggml/stock-mix.ts";
import { bitsPerWeight } from "../ggml/tensor-types.ts";
import { present } from "../present.ts";
import { fromDensity, importanceScale, type Sensitivity } from "./sensitivity.ts";
import { priorSensitivity } from "./sensitivity-prior.ts";

/** Every K-quant preset: what they agree on stands out, and no budget has rules of its own. */
const PRESETS: readonly FileType[] = [
  ...(["Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L"] as const),
  ...(["Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K"] as const),
];

/** The part of ln 4 per bit that is believed; half or twice that makes little difference (research/judge.ts --beliefs). */
const BELIEF = 0.25;

/** What the presets count for beside the prior. Without them a measured model loses 6 % to a preset (research/judge.ts). */
const STOCK_SHARE = 0.25;

const VERSION = "1";

/** Weigh by what the presets imply: density 4^(belief · their mean bits per weight). Throws UsageError as stockTypes. */
export function stockSensitivity(analysis: Analysis, belief = BELIEF): Sensitivity {
  const values = atLevelOne(analysis, stockValues(analysis, belief));
  return { mode: "stock", version: VERSION, lossUnit: "relative", values };
}

/**
 * Weigh by a prior and the presets: density ¾ prior + ¼ stock, each at level 1. A sum and no product, so that nothing
 * one of them finds important is starved because the other does not. Throws UsageError as stockTypes.
 */
export function blendSensitivity(analysis: Analysis, prior = priorSensitivity(analysis)): Sensitivity {
  const [ofPrior, ofStock] = [prior.values, stockValues(analysis, BELIEF)].map((values) =>
    atLevelOne(analysis, values),
  );
  const values = fromDensity(analysis, ({ name, elements }) => {
    const [fitted = 0, implied = 0] = [ofPrior?.get(name), ofStock?.get(name)];
    return ((1 - STOCK_SHARE) * fitted + STOCK_SHARE * implied) / elements;
  });
  return {
    ...{ mode: "blend", version: `${VERSION}, prior ${prior.version}`, lossUnit: "relative", values },
    ...present({ headKnown: prior.headKnown }),
  };
}

function stockValues(analysis: Analysis, belief: number): ReadonlyMap<string, number> {
  const { facts, tensors } = analysis;
  const own = tensors.map(({ name, shape, sourceType }) => ({ name, shape, type: sourceType }));
  // a file without a head has its embedding taken for one: beside another it is an embedding
  const sources = givesHiddenStates(facts) && !facts.hasOutput ? [...own, ...headBeside(own)] : own;
  const mixes = PRESETS.map((preset) => stockTypes(facts, sources, preset));
  return fromDensity(analysis, (tensor) => {
    const { name, sourceType } = tensor;
    const bits = mixes.reduce((sum, mix) => sum + bitsPerWeight(mix.get(name) ?? sourceType), 0) / mixes.length;
    return 4 ** (belief * bits) * importanceScale(tensor);
  });
}

function headBeside(tensors: readonly RuleTensor[]): RuleTensor[] {
  const embedding = tensors.find(({ name }) => name === "token_embd.weight");
  return embedding === undefined ? [] : [{ ...embedding, name: "output.weight" }];
}

/** Scale to a geometric mean density of 1 over the weights. */
function atLevelOne({ tensors }: Analysis, values: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  let [logs, weights] = [0, 0];
  for (const { name, elements } of tensors) {
    const value = values.get(name);
    if (value === undefined) continue;
    logs += elements * Math.log(value / elements);
    weights += elements;
  }
  const level = Math.exp(logs / weights);
  return new Map([...values].map(([name, value]) => [name, value / level]));
}
