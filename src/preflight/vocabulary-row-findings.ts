/** Findings about tensors with a row for each token: llama.cpp counts the tokens by their list, and refuses another number. */
import { formatCount } from "../bytes/source.ts";
import { ROW_PER_TOKEN } from "../ggml/tokenizer-facts.ts";
import type { Model } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";

const TOKEN_KINDS = "token_types.weight";
export const TOKEN_KINDS_KEY = "tokenizer.ggml.token_type_count";

/** `tokens`: what llama.cpp counts, the list's entries or the vocab_size of a model without a list; `counted` says which. */
export function vocabularyRowFindings(model: Model, counted: string, tokens: number): Finding[] {
  const wrong = model.tensors.flatMap(({ name, shape }) => {
    const rows = (shape.length === 1 ? shape[0] : shape[1]) ?? 0;
    const isOf = ROW_PER_TOKEN.get(name)?.has(model.arch) === false;
    return isOf && rows !== tokens ? [`${name} has ${formatCount(rows)} rows`] : [];
  });
  const findings: Finding[] = [];
  if (wrong.length > 0) {
    findings.push({
      code: "vocabulary-rows",
      severity: "error",
      message: `${counted} ${formatCount(tokens)} entries, ${wrong.join(", ")}: llama.cpp refuses the file`,
      remedy: "convert the model again with the tokenizer that belongs to these weights",
    });
  }
  const kinds = tokenKindRows(model);
  if (kinds !== undefined) {
    findings.push({
      code: "token-kind-rows",
      severity: "error",
      message: `${TOKEN_KINDS_KEY} is ${model.metadata.get(TOKEN_KINDS_KEY) ?? "absent"}, ${TOKEN_KINDS} has ${formatCount(kinds)} rows: llama.cpp refuses the file`,
      remedy: "prism repair sets the number of rows",
    });
  }
  return findings;
}

/** Rows of the embedding of a token's kind (BERT's segments), where the file counts others. */
export function tokenKindRows({ metadata, tensors }: Model): number | undefined {
  const rows = tensors.find(({ name }) => name === TOKEN_KINDS)?.shape[1];
  return rows === undefined || rows === Number(metadata.get(TOKEN_KINDS_KEY) ?? 0) ? undefined : rows;
}
