/** Text of several kinds, each judged by itself: a file may be true to its source in prose and not in code. */
import { extname } from "node:path";
import { baseName } from "../base-name.ts";
import type { EvaluationTokens, LoadedModel, TokenScores } from "../engine/engine.ts";
import { scoredTokens } from "../engine/logits-file.ts";
import { UsageError } from "../errors.ts";
import type { KindFigures } from "./evaluation.ts";
import { nearness } from "./score-model.ts";
import { textOfKinds } from "./shipped-text.ts";
import { readTextFile, spreadChunks } from "./text.ts";

export interface TextKinds {
  /** In the order of the chunks. */
  readonly kinds: readonly { readonly kind: string; readonly chunks: number }[];
  /** Of all kinds, one after another. */
  readonly tokens: EvaluationTokens;
  /** As they were written. */
  readonly texts: readonly string[];
}

/** What tells the scores of one kind from those of the next. */
export interface KindsInOrder extends Pick<TextKinds, "kinds"> {
  readonly tokens: Pick<EvaluationTokens, "context">;
}

/** Chunks of a kind, unless another number is asked for. */
const KIND_CHUNKS = 24;

/**
 * Read text of the kinds asked for: files, a kind each, or the text that comes with PRISM; whole chunks from all over each.
 * Throws UsageError for a file of less than a chunk, and as readTextFile does.
 */
export async function readKinds(
  loaded: LoadedModel,
  asked: readonly string[] | true,
  { context, chunks = KIND_CHUNKS }: { readonly context: number; readonly chunks?: number | undefined },
): Promise<TextKinds> {
  const written = asked === true ? await textOfKinds() : await readFiles(asked);
  const kinds: { readonly kind: string; readonly text: string; readonly tokens: EvaluationTokens }[] = [];
  for (const { kind, text } of written) {
    const ids = await loaded.tokenize(text);
    const whole = Math.floor(ids.length / context);
    if (whole === 0 && asked !== true) {
      throw new UsageError(
        `--kinds: the text "${kind}" has ${ids.length} tokens, less than a chunk of ${context}; give a longer one, or a smaller --context`,
      );
    }
    const all = { context, chunks: whole, ids: ids.slice(0, whole * context) };
    if (whole > 0) kinds.push({ kind, text, tokens: spreadChunks(all, chunks) });
  }
  if (kinds.length === 0) {
    throw new UsageError(
      `--kinds: no text that comes with PRISM has a chunk of ${context} tokens; give a smaller --context, or files: --kinds prose.txt code.txt`,
    );
  }
  const ids = Int32Array.from(kinds.flatMap(({ tokens }) => [...tokens.ids]));
  return {
    kinds: kinds.map(({ kind, tokens }) => ({ kind, chunks: tokens.chunks })),
    tokens: { context, chunks: ids.length / context, ids },
    texts: kinds.map(({ text }) => text),
  };
}

/** A kind is called after its file. Throws UsageError for two of one name. */
async function readFiles(paths: readonly string[]): Promise<{ readonly kind: string; readonly text: string }[]> {
  const names = paths.map((path) => baseName(path).slice(0, -extname(path).length || undefined));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new UsageError(`--kinds: two files are called "${twice}", and a kind is called after its file; rename one`);
  }
  return Promise.all(
    paths.map(async (path, index) => ({ kind: names[index] as string, text: (await readTextFile(path)).text })),
  );
}

/** The figures of each kind, of the scores of all chunks. */
export function figuresOfKinds({ kinds, tokens: { context } }: KindsInOrder, scores: TokenScores): KindFigures[] {
  const perChunk = scoredTokens(context);
  let start = 0;
  return kinds.map(({ kind, chunks }) => {
    const end = start + chunks * perChunk;
    const own = partOf(scores, start, end);
    start = end;
    return { kind, chunks, tokens: own.nll.length, ...nearness(own) };
  });
}

function partOf({ nll, referenceNll, kld, sameTop }: TokenScores, start: number, end: number): TokenScores {
  const compared = referenceNll !== undefined && kld !== undefined && sameTop !== undefined;
  return {
    nll: nll.subarray(start, end),
    ...(compared
      ? {
          referenceNll: referenceNll.subarray(start, end),
          kld: kld.subarray(start, end),
          sameTop: sameTop.subarray(start, end),
        }
      : {}),
  };
}
