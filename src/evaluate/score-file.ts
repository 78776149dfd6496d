/** The only way a quantized file is made, loaded and scored. */
import { rm } from "node:fs/promises";
import type { Bench } from "../bench.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openLocalModel } from "../gguf/open.ts";
import { isQuantized, type QuantizeRequest, type QuantizeSpec, quantize } from "../quantize/quantize.ts";

export interface FileToScore {
  readonly spec: QuantizeSpec;
  /** What a person calls it; without one nothing is said. */
  readonly label?: string | undefined;
  /** Whether it stays when it was scored. */
  readonly keep: boolean;
  /** Who makes it deletes it, later than that. */
  readonly later?: boolean | undefined;
  readonly allowRequantize?: boolean | undefined;
  /** See QuantizeRequest; of files that stay. */
  readonly prove?: QuantizeRequest["prove"];
  /** It stands there as it was made. */
  readonly isMade?: boolean | undefined;
}

/** Quantize a file, unless it stands there as specified. */
export async function makeFile(source: OpenModel, file: FileToScore, bench: Bench): Promise<void> {
  if (await isQuantized(file.spec)) return;
  await quantizeFile(source, file, bench);
}

async function quantizeFile(
  source: OpenModel,
  { spec, label, keep, allowRequantize, prove }: FileToScore,
  bench: Bench,
): Promise<void> {
  if (label !== undefined) bench.progress.steps(`quantizing ${label}`, 0, 1);
  await quantize(source, spec, { force: true, allowRequantize, prove: keep ? prove : undefined, label }, bench);
}

/** Make a file, whatever else stands there, let `score` have it, and delete it again unless it is to be kept. */
export async function scoreFile<Scores>(
  source: OpenModel,
  file: FileToScore,
  score: (model: OpenModel) => Promise<Scores>,
  bench: Bench,
): Promise<Scores> {
  if (file.isMade !== true) await quantizeFile(source, file, bench);
  const model = await openLocalModel(file.spec.output);
  const scores = await score(model).finally(() => model.close());
  if (!file.keep && file.later !== true) await rm(file.spec.output, { force: true });
  return scores;
}
