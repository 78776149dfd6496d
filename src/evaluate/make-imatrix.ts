/**
 * Model + text → imatrix file, as llama-imatrix makes it: all chunks of the text, or the first of them. Without a text
 * the model samples its own, so that no data is needed; one that writes none reads the text that comes with PRISM.
 */
import type { Bench } from "../bench.ts";
import { writeAside } from "../disk/aside-file.ts";
import type { EvaluationTokens, ImportanceSums, LoadedModel } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { blocksOf, chunksPerBlock, createImportanceTotal } from "../imatrix/importance-blocks.ts";
import { writeImatrix } from "../imatrix/write-imatrix.ts";
import { refuseProjector } from "../intake/source-checks.ts";
import { seedFromName } from "../random.ts";
import { chooseContext, type TextRequest } from "./evaluate-options.ts";
import { loadModel } from "./load-model.ts";
import { SHIPPED_TEXT, shippedTokens, writesText } from "./shipped-text.ts";
import { aboutSeconds, chunksIn, firstChunks, readText, SAMPLED_SEQUENCES, timeSampling } from "./text.ts";

/** Chunks of a sampled text: more lower no KL divergence (docs/imatrix.md). */
const SAMPLED_CHUNKS = 32;

export interface ImatrixRequest extends Omit<TextRequest, "spread"> {
  /** Where the matrix goes. */
  readonly output: string;
  /** The output head's inputs too, which llama-imatrix leaves out: the embeddings get them where they are the head. */
  readonly head?: boolean | undefined;
  /** Sum a text in blocks of chunks, as a campaign of many machines does: the very file that it makes. */
  readonly blocks?: boolean | undefined;
}

/** Make the file. Throws UsageError for a text of fewer than two contexts, FormatError for damaged weights. */
export async function makeImatrix(source: OpenModel, request: ImatrixRequest, bench: Bench): Promise<void> {
  const { engine, threads, gpuLayers, signal, progress } = bench;
  const { output, text: path, chunks, head, blocks } = request;
  refuseProjector(source.model);
  const context = chooseContext(request.context, source.facts.contextTrain);
  if (engine.programs !== undefined) {
    if (path === undefined) {
      throw new UsageError("llama.cpp's programs can't sample a text; give --text FILE, or leave --llama-dir out");
    }
    if (blocks) throw new UsageError("llama-imatrix sums no blocks of its text; leave --blocks or --llama-dir out");
    if (head) throw new UsageError("llama-imatrix sums no inputs of a tied head; leave --head or --llama-dir out");
    const { programs } = engine;
    progress.note(`llama-imatrix: ${source.path}`);
    const run = { model: source.path, threads, gpuLayers, signal, text: { path, context, chunks } };
    await writeAside(output, async (aside) => {
      await programs.imatrix({ ...run, output: aside });
      await requireUnchanged(source, bench);
    });
    return;
  }
  const samples = path === undefined && writesText(source);
  if (samples && blocks) throw new UsageError("--blocks: a text that the model writes has none; give --text FILE");
  const loaded = await loadModel(source.path, { context }, bench);
  try {
    const { entries, dataset } = samples
      ? await sampleImportance(loaded, { context, chunks, head }, bench)
      : await readImportance(loaded, { context, chunks, head, blocks, text: path }, bench);
    await requireUnchanged(source, bench);
    await writeImatrix(output, { entries, dataset, context });
  } finally {
    await loaded.close();
  }
}

interface Collected {
  readonly entries: ReadonlyMap<string, ImportanceSums>;
  /** Path of the text, or words about it. */
  readonly dataset: string;
}

type PassRequest = Pick<ImatrixRequest, "text" | "chunks" | "head" | "blocks"> & { readonly context: number };

/** Of text that the model writes meanwhile, from other seeds than any that models are judged on. */
async function sampleImportance(
  loaded: LoadedModel,
  { context, chunks = SAMPLED_CHUNKS, head }: PassRequest,
  { seed, signal, progress }: Bench,
): Promise<Collected> {
  const asked = { chunks, together: SAMPLED_SEQUENCES, context, seed: seedFromName("imatrix", seed), head, signal };
  const stepMs = await timeSampling(loaded, Math.min(chunks, SAMPLED_SEQUENCES));
  const time = aboutSeconds(stepMs * context * Math.ceil(chunks / SAMPLED_SEQUENCES));
  progress.note(`importance matrix of ${chunks} × ${context} tokens that the model writes, ${time}`);
  const onProgress = (done: number, total: number) => progress.steps("imatrix", done, total);
  const entries = await loaded.sampledImportance({ ...asked, onProgress });
  return { entries, dataset: `text sampled from the model, seed ${seed}` };
}

/** Of a file, or of the text that comes with PRISM. One chunk is timed for the estimate. */
async function readImportance(
  loaded: LoadedModel,
  { text: path, context, chunks, head, blocks }: PassRequest,
  { signal, progress }: Bench,
): Promise<Collected> {
  const { tokens, dataset } = await readCalibration(loaded, { text: path, context, chunks });
  const started = performance.now();
  await loaded.importance({ tokens: firstChunks(tokens, 1), signal });
  const time = aboutSeconds((performance.now() - started) * tokens.chunks);
  progress.note(`imatrix over ${tokens.chunks} chunks of ${context} tokens of ${dataset}, ${time}`);
  const onProgress = (done: number, total: number) => progress.steps("imatrix", done, total);
  if (!blocks) return { entries: await loaded.importance({ tokens, head, signal, onProgress }), dataset };
  const total = createImportanceTotal();
  for (const { from, to } of blocksOf(tokens.chunks, chunksPerBlock(context))) {
    total.add(await loaded.importance({ tokens: chunksIn(tokens, { from, to }), head, signal }));
    onProgress(to, tokens.chunks);
  }
  return { entries: total.sums(), dataset };
}

/** The chunks of a text, or of the one that comes with PRISM, and what that is called. */
export async function readCalibration(
  loaded: LoadedModel,
  { text: path, context, chunks }: Pick<PassRequest, "text" | "context" | "chunks">,
): Promise<{ readonly tokens: EvaluationTokens; readonly dataset: string }> {
  if (path === undefined) return { tokens: await shippedTokens(loaded, context, chunks), dataset: SHIPPED_TEXT };
  return { tokens: (await readText(loaded, path, context, chunks)).tokens, dataset: path };
}
