/** The text that comes with PRISM (data/calibration), for models that write none themselves: encoders, and heads that rank. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { givesHiddenStates } from "../ggml/model-facts.ts";
import type { OpenModel } from "../gguf/model.ts";
import { hasRankHead } from "../preflight/rank-head.ts";
import { readTextFile, spreadChunks } from "./text.ts";

/** Whether a model's next token means anything: not an encoder's, nor that of one that embeds or ranks. */
export function writesText({ model, facts }: Pick<OpenModel, "model" | "facts">): boolean {
  return !givesHiddenStates(facts) && !hasRankHead(model);
}

const FOLDER = fileURLToPath(new URL("../../data/calibration", import.meta.url));

/** How files that were made from it name it. */
export const SHIPPED_TEXT = "the calibration text of PRISM";

/** The texts, a kind each, in the order of their names. */
export async function shippedText(folder = FOLDER): Promise<string[]> {
  return (await textOfKinds(folder)).map(({ text }) => text);
}

/** The same with the names of the kinds: code, dialogue, … */
export async function textOfKinds(folder = FOLDER): Promise<{ readonly kind: string; readonly text: string }[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".txt")).sort();
  return Promise.all(
    names.map(async (name) => ({
      kind: name.replace(/\.txt$/, ""),
      text: (await readTextFile(join(folder, name))).text,
    })),
  );
}

/** The same as whole chunks, none of two kinds; fewer than all are taken from all over it. */
export async function shippedTokens(loaded: LoadedModel, context: number, chunks?: number): Promise<EvaluationTokens> {
  const kinds: Int32Array[] = [];
  for (const text of await shippedText()) {
    const ids = await loaded.tokenize(text);
    kinds.push(ids.subarray(0, ids.length - (ids.length % context)));
  }
  const ids = Int32Array.from(kinds.flatMap((kind) => [...kind]));
  const whole = { context, chunks: ids.length / context, ids };
  return chunks === undefined ? whole : spreadChunks(whole, chunks);
}
