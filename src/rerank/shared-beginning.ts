/**
 * What the prompts of a query begin with, whatever the document: the engine reads it once. It follows from the query
 * alone: where a document's prompt is divided depends on no other document.
 */
import type { LoadedRanker } from "../engine/engine.ts";
import { encodeFilled, type PromptForm } from "./encode-prompts.ts";
import type { RerankRequest } from "./rerank-scorer.ts";

/** Of the text before the document: how the last of it tokenizes depends on what follows. */
const TOKENS_IN_DOUBT = 4;

/** The tokens before the document. */
export async function sharedBeginning(
  ranker: Pick<LoadedRanker, "encode" | "joints">,
  { template = "", ...form }: PromptForm,
  { query, instruct }: Pick<RerankRequest, "query" | "instruct">,
): Promise<Int32Array> {
  const before = template.slice(0, Math.max(0, template.indexOf("{document}")));
  const [ids = new Int32Array()] = await encodeFilled(ranker, form, before, [{ query, instruct, document: "" }]);
  return ids.slice(0, Math.max(0, ids.length - TOKENS_IN_DOUBT));
}

/** How many tokens of a prompt are the shared beginning: all of that, or none. */
export function countShared(prompt: Int32Array, beginning: Int32Array): number {
  const begins = prompt.length > beginning.length && beginning.every((id, index) => id === prompt[index]);
  return begins ? beginning.length : 0;
}
