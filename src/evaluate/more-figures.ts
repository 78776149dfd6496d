/** What is measured of a model beside the text of its session: kinds of text, and caches of other types than F16. */
import { basename } from "node:path";
import type { Bench } from "../bench.ts";
import type { EvaluationTokens, LoadedModel, TokenScores } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { describeKv, type KvTypes } from "../footprint/context-size.ts";
import type { OpenModel } from "../gguf/model.ts";
import { checkFigures } from "./check-figures.ts";
import type { MoreFigures } from "./evaluate-options.ts";
import { KIND_FIGURES, type KindFigures, KV_FIGURES, type KvFigures } from "./evaluation.ts";
import type { ReferenceLogits } from "./reference.ts";
import { nearness, scoreChunks } from "./score-model.ts";
import { figuresOfKinds, type KindsInOrder, type TextKinds } from "./text-kinds.ts";

export async function scoreKinds(
  { path }: OpenModel,
  loaded: LoadedModel,
  kinds: TextKinds,
  against: ReferenceLogits | undefined,
  bench: Bench,
): Promise<KindFigures[]> {
  const { tokens } = kinds;
  const what = `evaluating ${basename(path)} by kind of text`;
  return reduceKinds({ path }, kinds, await scoreChunks(loaded, tokens, tokens.chunks, against, what, bench));
}

/** The scores of all chunks of the kinds, whoever measured them → the figures of each. */
export function reduceKinds(
  { path }: Pick<OpenModel, "path">,
  kinds: KindsInOrder,
  scores: TokenScores,
): KindFigures[] {
  return figuresOfKinds(kinds, scores).map((figures) => checkFigures(path, KIND_FIGURES, figures));
}

/** The model is loaded by itself for it: a context's caches are of the types that it was made with. */
export async function scoreWithCache(
  { path }: OpenModel,
  { k, v }: KvTypes,
  load: (path: string, kv: KvTypes) => Promise<LoadedModel>,
  { tokens, against }: { readonly tokens: EvaluationTokens; readonly against: ReferenceLogits | undefined },
  bench: Bench,
): Promise<KvFigures> {
  const loaded = await load(path, { k, v });
  try {
    const what = `evaluating ${basename(path)} with its cache in ${describeKv({ k, v })}`;
    return reduceCache({ path }, { k, v }, await scoreChunks(loaded, tokens, tokens.chunks, against, what, bench));
  } finally {
    await loaded.close();
  }
}

/** The scores of all chunks with these caches → the figures. */
export function reduceCache({ path }: Pick<OpenModel, "path">, { k, v }: KvTypes, scores: TokenScores): KvFigures {
  return checkFigures(path, KV_FIGURES, { k, v, ...nearness(scores) });
}

/** Codes chosen with error feedback were chosen on the text that comes with PRISM, as a rule. */
export function calibrated({ path, model }: OpenModel): string[] {
  const how = model.metadata.get("prism.feedback");
  if (typeof how !== "string" || !how.includes("text of its own")) return [];
  return [
    `the codes of ${basename(path)} were chosen on the text that comes with PRISM: by kind of that text it does better than on others; --kinds FILE... judges it by yours`,
  ];
}

/** Throws UsageError where another build's programs evaluate: they know the text alone. */
export function refuseMoreFigures({ kinds, kv }: MoreFigures): void {
  const option = kinds !== undefined ? "--kinds" : kv !== undefined ? "--kv" : undefined;
  if (option === undefined) return;
  throw new UsageError(`${option}: measured with the embedded engine alone; leave --llama-dir out`);
}
