/**
 * The inputs of some weights of a model, for a machine that does a part of its tensors: what is measured of a tensor, or chosen
 * for it, depends on its own inputs alone, so that what several machines do is what one would.
 */
import type { Bench } from "../bench.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { loadModel } from "../evaluate/load-model.ts";
import { tensorClass } from "../ggml/tensor-class.ts";
import type { Model, OpenModel } from "../gguf/model.ts";
import { ownText, readsOwn, textKinds } from "./calibration-text.ts";
import type { WeightInputs } from "./layer-ranges.ts";
import { type FeedbackRequest, matricesOf, openInputs, overRanges, type SeenRange } from "./over-inputs.ts";

export interface PartInputs {
  /** Call `work` with one range of these weights after another; only the inputs of their layers are summed. */
  over<Weight extends WeightInputs>(
    weights: readonly Weight[],
    work: (range: SeenRange<Weight>) => Promise<void>,
  ): Promise<void>;
  /** What the text is. */
  readonly text: string;
  close(): Promise<void>;
}

/** Load the model; the caller closes the inputs. */
export async function openPartInputs(source: OpenModel, request: FeedbackRequest, bench: Bench): Promise<PartInputs> {
  const open = await openInputs(source, request, bench);
  return {
    async over(weights, work) {
      if (weights.length === 0) return;
      await overRanges(open, source, { weights, summed: inLayersOf(weights, source.model) }, bench, work);
    },
    text: open.text,
    close: () => open.loaded.close(),
  };
}

/**
 * All matrices of the layers that have any of the weights: the first of those that share inputs names them, and by its name
 * rows are held out, whether it is wanted itself or not.
 */
function inLayersOf(weights: readonly WeightInputs[], model: Model): WeightInputs[] {
  const layerOf = ({ name }: WeightInputs) => tensorClass(name).layer;
  const layers = new Set(weights.map(layerOf));
  return matricesOf(model).filter((weight) => layers.has(layerOf(weight)));
}

/**
 * What the model writes to calibrate codes on, where that is asked for; so that it is sampled once for all machines. Refuses
 * texts as checkCalibration() does.
 */
export async function calibrationOfParts(
  source: OpenModel,
  { calibration = [], context: asked }: FeedbackRequest,
  bench: Bench,
): Promise<Int32Array | undefined> {
  const context = chooseContext(asked, source.facts.contextTrain);
  const loaded = await loadModel(source.path, { context }, bench);
  try {
    await textKinds(loaded, source, { context, texts: calibration });
    return readsOwn(source, calibration) ? await ownText(loaded, source, context, bench) : undefined;
  } finally {
    await loaded.close();
  }
}
