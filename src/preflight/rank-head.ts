/** Which models say nothing by their next token. */
import { readFacts } from "../gguf/facts.ts";
import type { Model } from "../gguf/model.ts";

/** Whether documents are ranked by a head of the model's own; its next token, where it has one, says nothing. */
export function hasRankHead(model: Model): boolean {
  return readFacts(model).rankPooling || model.tensors.some(({ name }) => /^cls(\.output)?\.weight$/.test(name));
}
