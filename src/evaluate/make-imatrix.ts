/**
 * Model + text → imatrix file, as llama-imatrix makes it: all chunks of the text, or the first of them. Without a text
 * the model samples its own, so that no data is needed; one that writes none reads the text that comes with PRISM.
 */
import type { Bench } from "../bench.ts";
import { writeAside } from "../disk/aside-file.ts";
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { writeImatrix } from "../imatrix/write-imatrix.ts";
import { refuseProjector } from "../intake/source-checks.ts";
import { seedFromName } from "../random.ts";
import { chooseContext, type TextRequest } from "./evaluate-options.ts";
import { loadModel } from "./load-model.ts";
import { SHIPPED_TEXT, shippedTokens, writesText } from "./shipped-text.ts";
import { aboutSeconds, firstChunks, readText, sampleText } from "./text.ts";

/** Chunks of a sampled text: more lower no KL divergence (docs/imatrix.md). */
const SAMPLED_CHUNKS = 32;

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
    const { tokens, dataset } = await textOf(loaded, source, { ...request, context }, bench);
    progress.note(await describeWork(loaded, tokens, dataset));
    const entries = await loaded.importance({
      tokens,
      signal,
      onProgress: (done, total) => progress.steps("imatrix", done, total),
    });
    await requireUnchanged(source, bench);
    await writeImatrix(output, { entries, dataset, context });
  } finally {
    await loaded.close();
  }
}

interface CalibrationText {
  readonly tokens: EvaluationTokens;
  /** Path of the text, or words about it. */
  readonly dataset: string;
}

async function textOf(
  loaded: LoadedModel,
  source: OpenModel,
  { text: path, chunks, context }: ImatrixRequest & { readonly context: number },
  bench: Bench,
): Promise<CalibrationText> {
  if (path !== undefined) return { tokens: (await readText(loaded, path, context, chunks)).tokens, dataset: path };
  if (!writesText(source)) return { tokens: await shippedTokens(loaded, context, chunks), dataset: SHIPPED_TEXT };
  // none of what models are judged on, which is sampled from other seeds
  const seed = seedFromName("imatrix", bench.seed);
  const request = { context, chunks: chunks ?? SAMPLED_CHUNKS, seed, instead: "importance matrix" };
  const { tokens } = await sampleText(loaded, source, request, bench);
  return { tokens, dataset: `text sampled from the model, seed ${bench.seed}` };
}

/** One chunk is timed for the estimate. */
async function describeWork(loaded: LoadedModel, tokens: EvaluationTokens, dataset: string): Promise<string> {
  const { context, chunks } = tokens;
  const started = performance.now();
  await loaded.importance({ tokens: firstChunks(tokens, 1) });
  const workMs = (performance.now() - started) * chunks;
  return `imatrix over ${chunks} chunks of ${context} tokens of ${dataset}, ${aboutSeconds(workMs)}`;
}
