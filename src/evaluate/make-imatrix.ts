/**
 * Model + text → imatrix file, as llama-imatrix makes it: all chunks of the text, or the first of them. Without a text
 * the model samples its own, so that no data is needed.
 */
import { writeAside } from "../disk/aside-file.ts";
import type { LoadedModel } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { writeImatrix } from "../imatrix/write-imatrix.ts";
import { describeModel } from "./describe-model.ts";
import { chooseContext, type EvaluateOptions } from "./evaluate-options.ts";
import { aboutSeconds, type EvaluationText, readText, sampleText } from "./text.ts";

/** Chunks of a sampled text; more change the weights little. */
const SAMPLED_CHUNKS = 128;

export interface ImatrixOptions
  extends Pick<
    EvaluateOptions,
    "engine" | "text" | "context" | "chunks" | "seed" | "threads" | "gpuLayers" | "cacheDir" | "signal" | "onNote"
  > {
  readonly model: string;
  readonly output: string;
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** Make the file. Throws UsageError for a text of fewer than two contexts, FormatError for damaged weights. */
export async function makeImatrix(options: ImatrixOptions): Promise<void> {
  const { engine, model, output, threads, gpuLayers, signal } = options;
  const description = await describeModel(model);
  const context = chooseContext(options.context, description.contextTrain);
  const run = { model, threads, gpuLayers, ...(signal === undefined ? {} : { signal }) };
  if (engine.info.kind === "programs") {
    const { text: path, chunks } = options;
    if (path === undefined) {
      throw new UsageError("llama.cpp's programs can't sample a text; give --text FILE, or leave --llama-dir out");
    }
    options.onNote?.(`llama-imatrix: ${model}`);
    const text = { path, context, ...(chunks === undefined ? {} : { chunks }) };
    await writeAside(output, (aside) => engine.imatrix({ ...run, text, output: aside }));
    return;
  }
  const loaded = await engine.load({ ...run, context });
  try {
    const text = await textOf(loaded, context, description.fingerprint, options);
    const { tokens } = text;
    options.onNote?.(await describeWork(loaded, text));
    const entries = await loaded.importance({
      tokens,
      ...(signal === undefined ? {} : { signal }),
      onProgress: (done, total) => options.onProgress?.("imatrix", done, total),
    });
    const dataset = text.path ?? `sampled from the model, seed ${text.seed}`;
    await writeImatrix(output, { entries, dataset, context });
  } finally {
    await loaded.close();
  }
}

function textOf(
  loaded: LoadedModel,
  context: number,
  fingerprint: string,
  { text, chunks, seed, cacheDir, signal, onNote, onProgress }: ImatrixOptions,
): Promise<EvaluationText> {
  if (text !== undefined) return readText(loaded, text, context, chunks);
  return sampleText(loaded, {
    context,
    chunks: chunks ?? SAMPLED_CHUNKS,
    seed,
    fingerprint,
    ...(cacheDir === undefined ? {} : { cacheDir }),
    ...(signal === undefined ? {} : { signal }),
    ...(onNote === undefined ? {} : { onNote }),
    onProgress: (done, total) => onProgress?.("sampling text", done, total),
  });
}

/** One batch is timed for the estimate. */
async function describeWork(loaded: LoadedModel, { tokens, path }: EvaluationText): Promise<string> {
  const { context, chunks } = tokens;
  const count = Math.min(loaded.chunksPerBatch, chunks);
  const start = performance.now();
  await loaded.score({ tokens, first: 0, count });
  const workMs = ((performance.now() - start) / count) * chunks;
  const source = path ?? "text sampled from the model";
  return `imatrix over ${chunks} chunks of ${context} tokens of ${source}, ${aboutSeconds(workMs)}`;
}
