/** The text that codes are calibrated on, by kinds: one at a time is held out to judge them by. */
import type { Bench } from "../bench.ts";
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { SHIPPED_TEXT, shippedText, writesText } from "../evaluate/shipped-text.ts";
import { readTextFile, sampleText, spreadChunks } from "../evaluate/text.ts";
import type { OpenModel } from "../gguf/model.ts";
import { seedFromName } from "../random.ts";

export interface CalibrationKinds {
  readonly kinds: readonly EvaluationTokens[];
  /** What the file says of them. */
  readonly text: string;
}

export interface CalibrationRequest {
  readonly context: number;
  /** Files, a kind each, and OWN_TEXT; no file: text that the model writes, and the text that comes with PRISM. */
  readonly texts?: readonly string[] | undefined;
  /** What the model wrote, where it was sampled before: by ownText(). */
  readonly own?: Int32Array | undefined;
}

/** Chunks of text that the model writes. */
const OWN_CHUNKS = 64;

/** Fewer texts are cut, so that so many parts are held out in turn: without all of its kind nothing could be judged. */
const PARTS = 4;

/** Tokens of a kind of the shipped text at most: vocabularies of bytes have many. */
const SHIPPED_TOKENS = 2 ** 14;

/** Chunks of a file at most. */
const FILE_CHUNKS = 256;

/** Stands among files for what the model writes itself. */
export const OWN_TEXT = "own";

/** The files among texts that are given. */
export function calibrationFiles(given: readonly string[] = []): string[] {
  return given.filter((name) => name !== OWN_TEXT);
}

/** Throws as textKinds() does. */
export async function calibrationKinds(
  loaded: LoadedModel,
  source: OpenModel,
  { context, texts = [], own }: CalibrationRequest,
  bench: Bench,
): Promise<CalibrationKinds> {
  const kinds = await textKinds(loaded, source, { context, texts });
  const files = calibrationFiles(texts);
  const read = files.length === 0 ? SHIPPED_TEXT : files.length === 1 ? "1 file" : `${files.length} files`;
  if (!readsOwn(source, texts)) return { kinds, text: read };
  const ids = own ?? (await ownText(loaded, source, context, bench));
  return {
    kinds: [{ context, chunks: ids.length / context, ids }, ...kinds],
    text: `sampled from the model, seed ${bench.seed}, and ${read}`,
  };
}

/** Whether codes are calibrated on what the model writes too. */
export function readsOwn(source: OpenModel, texts: readonly string[]): boolean {
  return writesText(source) && (texts.length === 0 || texts.includes(OWN_TEXT));
}

/** What the model writes, whole chunks. None of what models are judged on, which is sampled from other seeds. */
export async function ownText(
  loaded: LoadedModel,
  source: OpenModel,
  context: number,
  bench: Bench,
): Promise<Int32Array> {
  const seed = seedFromName("feedback", bench.seed);
  const request = { context, chunks: OWN_CHUNKS, seed, purpose: "error feedback" };
  return (await sampleText(loaded, source, request, bench)).tokens.ids;
}

/**
 * What is read, but not what the model writes. Throws UsageError where a text is shorter than a context, or where all of
 * it leaves nothing to hold out.
 */
export async function textKinds(
  loaded: LoadedModel,
  source: OpenModel,
  { context, texts: given = [] }: Pick<CalibrationRequest, "context" | "texts">,
): Promise<EvaluationTokens[]> {
  const files = calibrationFiles(given);
  if (files.length < given.length && !writesText(source)) {
    throw new UsageError(`--calibration ${OWN_TEXT}: ${source.path} writes no text; give files alone`);
  }
  if (files.length === 0) {
    const kinds = await shippedKinds(loaded, context);
    if (kinds.length + (writesText(source) ? 1 : 0) > 1) return kinds;
    throw new UsageError(
      `${SHIPPED_TEXT} has no two kinds of a context of ${context} tokens, one to calibrate on and one to judge by; give a smaller --context, or texts with --calibration`,
    );
  }
  const texts: EvaluationTokens[] = [];
  for (const file of files) texts.push(await fileTokens(loaded, file, context));
  const cut = texts.flatMap((text) => parts(text, Math.ceil(PARTS / texts.length)));
  if (cut.length > 1) return cut;
  throw new UsageError(
    `${files[0]} holds one context of ${context} tokens, which leaves nothing to judge codes by; give a text of at least ${2 * context} tokens, or a second one`,
  );
}

async function shippedKinds(loaded: LoadedModel, context: number): Promise<EvaluationTokens[]> {
  const kinds: EvaluationTokens[] = [];
  const most = Math.max(1, Math.floor(SHIPPED_TOKENS / context));
  for (const text of await shippedText()) {
    kinds.push(spreadChunks(wholeChunks(await loaded.tokenize(text), context), most));
  }
  return kinds.filter(({ chunks }) => chunks > 0);
}

/** Evenly from all over a file. Throws UsageError for one that is shorter than a context. */
async function fileTokens(loaded: LoadedModel, file: string, context: number): Promise<EvaluationTokens> {
  const { text } = await readTextFile(file);
  const tokens = wholeChunks(await loaded.tokenize(text), context);
  if (tokens.chunks > 0) return spreadChunks(tokens, FILE_CHUNKS);
  throw new UsageError(
    `${file} has ${tokens.ids.length} tokens, fewer than a context of ${context} to calibrate on; give a longer one`,
  );
}

/** Where there is not one whole chunk, the ids are all. */
function wholeChunks(ids: Int32Array, context: number): EvaluationTokens {
  const chunks = Math.floor(ids.length / context);
  return { context, chunks, ids: chunks === 0 ? ids : ids.slice(0, chunks * context) };
}

function parts({ context, chunks, ids }: EvaluationTokens, count: number): EvaluationTokens[] {
  const cuts = Array.from({ length: count + 1 }, (_, index) => Math.floor((index * chunks) / count));
  return cuts.slice(1).flatMap((end, index) => {
    const start = cuts[index] as number;
    if (end === start) return [];
    return [{ context, chunks: end - start, ids: ids.slice(start * context, end * context) }];
  });
}
