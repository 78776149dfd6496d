/** How long documents may be, in the words of TEI, Voyage, Cohere and vLLM. */
import { UsageError } from "../errors.ts";
import type { Lengths } from "../rerank/rerank-scorer.ts";
import { countField, type Fields, flagField, textField } from "./fields.ts";

/** Throws UsageError for what can't be had: only the end of a document is ever cut. */
export function parseLengths(fields: Fields): Lengths {
  for (const name of ["truncation_direction", "truncation_side"]) {
    if ((textField(fields, name) ?? "right").toLowerCase() !== "right") {
      throw new UsageError(`"${name}" can only be "right" here: documents are cut at their end`);
    }
  }
  if (countField(fields, 0, "max_tokens_per_query") !== undefined) {
    throw new UsageError(`"max_tokens_per_query" can't be had here: a query is never cut; shorten it`);
  }
  return {
    documentTokens: countField(fields, 0, "max_tokens_per_doc"),
    // vLLM's -1: as long as the model takes
    promptTokens: countField(fields, -1, "truncate_prompt_tokens"),
    refuseLonger: flagField(fields, "truncation", "truncate") === false,
  };
}
