/** A model loaded to score the chunks of a text with. */
import type { Bench } from "../bench.ts";
import { type LoadedModel, requireLibrary } from "../engine/engine.ts";
import { FormatError } from "../errors.ts";
import type { KvTypes } from "../footprint/context-size.ts";
import { present } from "../present.ts";

export interface LoadOptions {
  /** Tokens of a chunk. */
  readonly context: number;
  /** Types of the caches of keys and values; by default F16. */
  readonly kv?: KvTypes | undefined;
  /** Tokens its vocabulary must have. */
  readonly vocabSize?: number | undefined;
  /** See ModelLoadOptions. */
  readonly vocabOnly?: boolean | undefined;
}

/**
 * Load the model at `path`; beside programs the library stays on the processor. Throws FormatError for another vocabulary,
 * EngineError where llama.cpp can't.
 */
export async function loadModel(
  path: string,
  { context, vocabSize, kv, vocabOnly }: LoadOptions,
  { engine, threads, gpuLayers, signal }: Bench,
): Promise<LoadedModel> {
  const layers = engine.programs === undefined ? gpuLayers : 0;
  const model = await requireLibrary(engine).load({
    ...{ model: path, context, threads, gpuLayers: layers, signal },
    ...present({ kv, vocabOnly }),
  });
  if (vocabSize === undefined || model.vocabSize === vocabSize) return model;
  await model.close();
  throw new FormatError(
    path,
    `its vocabulary has ${model.vocabSize} tokens, the reference's ${vocabSize}; evaluate it against the model it was made from`,
  );
}
