/** What is asked of error feedback, refused before any work where it makes no sense. */
import type { Bench } from "../bench.ts";
import { requireLibrary } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { loadModel } from "../evaluate/load-model.ts";
import type { OpenModel } from "../gguf/model.ts";
import { textKinds } from "./calibration-text.ts";
import type { FeedbackRequest } from "./over-inputs.ts";

export interface FeedbackChoice {
  readonly feedback?: boolean | undefined;
  readonly calibration?: readonly string[] | undefined;
}

/** Throws UsageError, and EngineError for llama.cpp's programs, which tell nothing of a model's inputs. */
export function checkFeedbackChoice(
  { feedback, calibration = [] }: FeedbackChoice,
  { engine }: Pick<Bench, "engine">,
): void {
  if (feedback === true) requireLibrary(engine);
  else if (calibration.length > 0) throw new UsageError("--calibration FILE is what --feedback reads; give both");
}

/**
 * Refuse text that codes can't be chosen by, before work is spent on a file. Throws UsageError, and FileError and
 * FormatError for a file that is no text.
 */
export async function checkCalibration(
  source: OpenModel,
  { calibration = [], context: asked }: FeedbackRequest,
  bench: Bench,
): Promise<void> {
  // of itself it is too short for long contexts only
  if (calibration.length === 0 && asked === undefined) return;
  const context = chooseContext(asked, source.facts.contextTrain);
  const loaded = await loadModel(source.path, { context }, bench);
  try {
    await textKinds(loaded, source, { context, texts: calibration });
  } finally {
    await loaded.close();
  }
}
