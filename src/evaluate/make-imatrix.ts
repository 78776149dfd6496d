/**
 * Model + text → imatrix file, as llama-imatrix makes it: all chunks of the text, or the first of them. Without a text
 * the model samples its own, so that no data is needed; one that writes none reads the text that comes with PRISM.
 */
import type { Bench } from "../bench.ts";
import { writeAside } from "../disk/aside-file.ts";
import type { ImportanceSums, LoadedModel } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { writeImatrix } from "../imatrix/write-imatrix.ts";
import { refuseProjector } from "../intake/source-checks.ts";
import { seedFromName } from "../random.ts";
import { chooseContext, type TextRequest } from "./evaluate-options.ts";
import { loadModel } from "./load-model.ts";
import { SHIPPED_TEXT, shippedTokens, writesText } from "./shipped-text.ts";
import { aboutSeconds, firstChunks, readText, SAMPLED_SEQUENCES, timeSampling } from "./text.ts";

/** Chunks of a sampled text: more lower no KL divergence (docs/imatrix.md). */
const SAMPLED_CHUNKS = 32;

export interface ImatrixRequest extends Omit<TextRequest, "spread"> {
  /** Where the matrix goes. */
  readonly output: string;
  /** The output head's inputs too, which llama-imatrix leaves out: the embeddings get them where they are the head. */
  readonly head?: boolean | undefined;
}

/** Make the file. Throws UsageError for a text of fewer than two contexts, FormatError for damaged weights. */
export async function makeImatrix(source: OpenModel, request: ImatrixRequest, bench: Bench): Promise<void> {
  const { engine, threads, gpuLayers, signal, progress } = bench;
  const { output, text: path, chunks, head } = request;
  refuseProjector(source.model);
  const context = chooseContext(request.context, source.facts.contextTrain);
  if (engine.programs !== undefined) {
    if (path === undefined) {
      throw new UsageError("llama.cpp's programs can't sample a text; give --text FILE, or leave --llama-dir out");
    }
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
  const loaded = await loadModel(source.path, { context }, bench);
  try {
    const { entries, dataset } =
      path === undefined && writesText(source)
        ? await sampleImportance(loaded, { context, chunks, head }, bench)
        : await readImportance(loaded, { context, chunks, head, text: path }, bench);
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

type PassRequest = Pick<ImatrixRequest, "text" | "chunks" | "head"> & { readonly context: number };

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
  { text: path, context, chunks, head }: PassRequest,
  { signal, progress }: Bench,
): Promise<Collected> {
  const tokens =
    path === undefined
      ? await shippedTokens(loaded, context, chunks)
      : (await readText(loaded, path, context, chunks)).tokens;
  const dataset = path ?? SHIPPED_TEXT;
  const started = performance.now();
  await loaded.importance({ tokens: firstChunks(tokens, 1), signal });
  const time = aboutSeconds((performance.now() - started) * tokens.chunks);
  progress.note(`imatrix over ${tokens.chunks} chunks of ${context} tokens of ${dataset}, ${time}`);
  const onProgress = (done: number, total: number) => progress.steps("imatrix", done, total);
  return { entries: await loaded.importance({ tokens, head, signal, onProgress }), dataset };
}
