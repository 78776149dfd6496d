/**
 * Model + text → imatrix file, as llama-imatrix makes it: all chunks of the text, or the first of them. Without a text
 * the model samples its own, so that no data is needed.
 */
import type { Bench } from "../bench.ts";
import { writeAside } from "../disk/aside-file.ts";
import type { LoadedModel } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { writeImatrix } from "../imatrix/write-imatrix.ts";
import { refuseProjector } from "../intake/source-checks.ts";
import { timeChunk } from "./clock.ts";
import { chooseContext, type TextRequest } from "./evaluate-options.ts";
import { loadModel } from "./load-model.ts";
import { aboutSeconds, type EvaluationText, readText, sampleText } from "./text.ts";

/** Chunks of a sampled text; more change the weights little. */
const SAMPLED_CHUNKS = 128;

export interface ImatrixRequest extends Omit<TextRequest, "spread"> {
  /** Where the matrix goes. */
  readonly output: string;
}

/** Make the file. Throws UsageError for a text of fewer than two contexts, FormatError for damaged weights. */
export async function makeImatrix(source: OpenModel, request: ImatrixRequest, bench: Bench): Promise<void> {
  const { engine, threads, gpuLayers, signal, progress } = bench;
  const { output, text: path, chunks } = request;
  refuseProjector(source.model);
  const context = chooseContext(request.context, source.facts.contextTrain);
  if (engine.programs !== undefined) {
    if (path === undefined) {
      throw new UsageError("llama.cpp's programs can't sample a text; give --text FILE, or leave --llama-dir out");
    }
    const { programs } = engine;
    progress.note(`llama-imatrix: ${source.path}`);
    const run = { model: source.path, threads, gpuLayers, signal, text: { path, context, chunks } };
    await writeAside(output, async (aside) => {
      await programs.imatrix({ ...run, output: aside });
      await requireUnchanged(source, bench);
    });
    return;
  }
  const loaded = await loadModel(source.path, { context }, bench);
  try {
    const text =
      path === undefined
        ? await sampleText(loaded, source, { context, chunks: chunks ?? SAMPLED_CHUNKS }, bench)
        : await readText(loaded, path, context, chunks);
    progress.note(await describeWork(loaded, text));
    const entries = await loaded.importance({
      tokens: text.tokens,
      signal,
      onProgress: (done, total) => progress.steps("imatrix", done, total),
    });
    await requireUnchanged(source, bench);
    const dataset = text.path ?? `sampled from the model, seed ${text.seed}`;
    await writeImatrix(output, { entries, dataset, context });
  } finally {
    await loaded.close();
  }
}

/** One batch is timed for the estimate. */
async function describeWork(loaded: LoadedModel, { tokens, path }: EvaluationText): Promise<string> {
  const { context, chunks } = tokens;
  const workMs = (await timeChunk(loaded, tokens)) * chunks;
  const source = path ?? "text sampled from the model";
  return `imatrix over ${chunks} chunks of ${context} tokens of ${source}, ${aboutSeconds(workMs)}`;
}
