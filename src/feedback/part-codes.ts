/**
 * Error feedback for some tensors of a model, on a machine that has only those of the quantized file: the codes depend on the
 * inputs of each tensor alone, so what several machines choose is what one would.
 */
import type { Bench } from "../bench.ts";
import type { ChosenCodes } from "../engine/engine.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { loadModel } from "../evaluate/load-model.ts";
import type { OpenModel } from "../gguf/model.ts";
import { ownText, readsOwn, textKinds } from "./calibration-text.ts";
import { codesIn, type PlacedTensor } from "./feedback.ts";
import { type FeedbackRequest, type OpenInputs, openInputs, overRanges } from "./over-inputs.ts";

export interface PartCodes {
  /** Choose the codes of tensors that lie in a file, in their places. What has no codes or no inputs stays as it is. */
  choose(path: string, placed: readonly PlacedTensor[]): Promise<readonly ChosenCodes[]>;
  /** The text they are calibrated on. Known once any was chosen. */
  text(): string | undefined;
  close(): Promise<void>;
}

/** The model is loaded when the first codes are asked for. */
export function createPartCodes(source: OpenModel, request: FeedbackRequest, bench: Bench): PartCodes {
  let open: OpenInputs | undefined;
  return {
    async choose(path, placed) {
      const weights = codesIn(source.model, placed, path);
      if (weights.length === 0) return [];
      open ??= await openInputs(source, request, bench);
      const chosen: ChosenCodes[] = [];
      await overRanges(open, source, { weights, summed: weights }, bench, async ({ loaded, weights: tensors }) => {
        const { signal, progress } = bench;
        chosen.push(...(await loaded.chooseCodes({ output: path, tensors, signal, onNote: progress.note })));
      });
      return chosen;
    },
    text: () => open?.text,
    close: async () => open?.loaded.close(),
  };
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
