/** The inputs of a model's weights, summed in as many passes over the calibration text as memory asks for. */
import type { Bench } from "../bench.ts";
import { hasNativeKernels, type LoadedModel } from "../engine/engine.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { loadModel } from "../evaluate/load-model.ts";
import { aboutSeconds } from "../evaluate/text.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import type { Model, OpenModel } from "../gguf/model.ts";
import { type CalibrationKinds, calibrationKinds } from "./calibration-text.ts";
import { collectRange, type InputsRange } from "./kept-work.ts";
import { layerRanges, type WeightInputs } from "./layer-ranges.ts";

export interface FeedbackRequest {
  /** Files of text, a kind each, and "own", what the model writes; none: that, and the text that comes with PRISM. */
  readonly calibration?: readonly string[] | undefined;
  readonly context?: number | undefined;
  /** What the model wrote, where that is known: see ownText(). */
  readonly own?: Int32Array | undefined;
}

/** Weights whose inputs were seen, while the engine has their sums. */
export interface SeenRange<Weight> {
  readonly loaded: LoadedModel;
  readonly weights: readonly Weight[];
  /** What the sums are of: they may be of more weights. */
  readonly inputs: InputsRange;
}

/** A loaded model and the text whose inputs are summed. */
export interface OpenInputs extends CalibrationKinds {
  readonly loaded: LoadedModel;
}

/** The caller closes the model. */
export async function openInputs(
  source: OpenModel,
  { calibration, context: asked, own }: FeedbackRequest,
  bench: Bench,
): Promise<OpenInputs> {
  const context = chooseContext(asked, source.facts.contextTrain);
  const loaded = await loadModel(source.path, { context }, bench);
  try {
    if (!hasNativeKernels(bench.engine.info)) {
      bench.progress.note(
        "! without the native kernels error feedback takes very long; prism doctor says how to get them",
      );
    }
    const request = { context, texts: calibration, own };
    return { loaded, ...(await calibrationKinds(loaded, source, request, bench)) };
  } catch (error) {
    await loaded.close();
    throw error;
  }
}

/** Call `work` with one range of the weights after another. Returns what text it was. */
export async function overInputs<Weight extends WeightInputs>(
  source: OpenModel,
  weights: readonly Weight[],
  request: FeedbackRequest,
  bench: Bench,
  work: (range: SeenRange<Weight>) => Promise<void>,
): Promise<string> {
  const open = await openInputs(source, request, bench);
  try {
    await overRanges(open, source, { weights, summed: matricesOf(source.model) }, bench, work);
    return open.text;
  } finally {
    await open.loaded.close();
  }
}

/** The same of inputs that are open; those of `summed` are summed, in one pass over the text for each range that has any. */
export async function overRanges<Weight extends WeightInputs>(
  { loaded, kinds }: OpenInputs,
  source: OpenModel,
  { weights, summed }: { readonly weights: readonly Weight[]; readonly summed: readonly WeightInputs[] },
  bench: Bench,
  work: (range: SeenRange<Weight>) => Promise<void>,
): Promise<void> {
  const { progress, memoryBytes } = bench;
  const ranges = layerRanges(summed, memoryBytes)
    .map((range) => ({ range, wanted: weights.filter(isIn(range)) }))
    .filter(({ wanted }) => wanted.length > 0);
  const started = performance.now();
  for (const [index, { range, wanted }] of ranges.entries()) {
    const passes = ranges.length === 1 ? "" : ` (pass ${index + 1} of ${ranges.length})`;
    const inputs = { kinds, weights: range };
    const seen = await collectRange(loaded, source, inputs, `inputs of the weights${passes}`, bench);
    await work({ loaded, weights: wanted.filter(({ name }) => seen.includes(name)), inputs });
    if (index === 0 && ranges.length > 1) {
      const left = ((performance.now() - started) / wanted.length) * (weights.length - wanted.length);
      progress.note(`error feedback in ${ranges.length} passes, ${aboutSeconds(left)} more`);
    }
  }
}

/** All that llama-quantize might quantize: so sums that one caller left in the cache serve another. */
export function matricesOf({ tensors }: Model): WeightInputs[] {
  return tensors
    .filter((tensor) => ineligibleReason(tensor) === undefined)
    .flatMap(({ name, shape }) => {
      const [columns = 1, , ...outer] = shape;
      const experts = outer.reduce((product, n) => product * n, 1);
      return Array.from({ length: experts }, (_, expert) => ({ name, columns, ...(experts > 1 ? { expert } : {}) }));
    });
}

function isIn(range: readonly WeightInputs[]): (weight: WeightInputs) => boolean {
  const names = new Set(range.map(({ name }) => name));
  return ({ name }) => names.has(name);
}
