/**
 * Findings about what a tokenizer makes of the prompts in a model's file: special tokens that it takes for text, tokens it
 * adds where a judgement is to follow, and parts of a prompt that it has no token for. llama.cpp loads such files and
 * scores wrong without a word.
 */

import { PROMPTED_RANK_ARCHITECTURES } from "../ggml/reranker-architectures.ts";
import type { Model } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";
import { RERANK_TEMPLATE_KEY } from "./rerank-prompt.ts";

const TOKENS = "tokenizer.ggml.tokens";
const TOKEN_TYPES = "tokenizer.ggml.token_type";
/** `enum llama_token_type`. */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3 } as const;
/** How special tokens are written: <|im_start|>, <start_of_turn>. */
const SPECIAL = /<[|｜][^<>|｜\s]{1,60}[|｜]>|<(?:start|end)_of_turn>/g;
/** Tokens in a message. */
const NAMED = 4;

/** Places in the vocabulary of tokens that a chat template writes as special, and that are typed as text. */
export function normalSpecials({ metadata }: Pick<Model, "metadata">): number[] {
  const [tokens, types] = [metadata.get(TOKENS), metadata.get(TOKEN_TYPES)];
  if (!Array.isArray(tokens) || !Array.isArray(types)) return [];
  const written = new Set<string>();
  for (const [key, value] of metadata) {
    if (!key.startsWith("tokenizer.chat_template") || typeof value !== "string") continue;
    for (const [special] of value.matchAll(SPECIAL)) written.add(special);
  }
  return tokens.flatMap((token, id) =>
    Number(types[id]) === TOKEN_TYPE.normal && written.has(String(token)) ? [id] : [],
  );
}

/** Its types with those of the special tokens mended. */
export function mendedTypes({ metadata }: Pick<Model, "metadata">, ids: readonly number[]): number[] {
  const types = metadata.get(TOKEN_TYPES);
  const mended = Array.isArray(types) ? types.map(Number) : [];
  for (const id of ids) mended[id] = TOKEN_TYPE.control;
  return mended;
}

/** `causal`: a reranker that is scored by the token after its prompt. */
export function promptFindings(model: Model, { causal }: { readonly causal: boolean }): Finding[] {
  return [...typeFindings(model), ...(causal ? additionFindings(model) : []), ...thinkFindings(model)];
}

function typeFindings(model: Model): Finding[] {
  const ids = normalSpecials(model);
  if (ids.length === 0) return [];
  const tokens = model.metadata.get(TOKENS) as readonly unknown[];
  const shown = ids.slice(0, NAMED).map((id) => String(tokens[id]));
  const more = ids.length > NAMED ? ` and ${ids.length - NAMED} more` : "";
  return [
    {
      code: "special-token-normal",
      severity: "warning",
      message: `${shown.join(", ")}${more} of the chat template ${ids.length === 1 ? "is" : "are"} typed as text in ${TOKEN_TYPES}: llama.cpp cuts ${ids.length === 1 ? "it" : "them"} into pieces, and the model does not see its own prompt`,
      remedy:
        "prism repair types them as control tokens; or convert again with tokenizer_config.json beside the weights",
    },
  ];
}

/** What the tokenizer adds, and a causal reranker must not have, by key. */
export function wrongAdditions({ metadata }: Pick<Model, "metadata">): string[] {
  // a 1 in the place of a true, which repair mends, counts
  const isOn = (key: string) => metadata.get(key) === true || metadata.get(key) === 1;
  const pre = metadata.get("tokenizer.ggml.pre");
  const [bos, eos] = ["tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"] as const;
  // Qwen's models were trained without one; whether others were, their files know best
  const noBos = typeof pre === "string" && pre.startsWith("qwen");
  return [...(noBos && isOn(bos) ? [bos] : []), ...(isOn(eos) ? [eos] : [])];
}

function additionFindings(model: Model): Finding[] {
  const keys = wrongAdditions(model);
  if (keys.length === 0) return [];
  return [
    {
      code: "rank-bos-eos",
      severity: "warning",
      message: `${keys.join(" and ")} ${keys.length === 1 ? "is" : "are"} true: llama-server puts such tokens around the prompt, and the judgement after it is another`,
      remedy: "prism repair sets that to false; prism itself adds no end to a prompt",
    },
  ];
}

function thinkFindings({ arch, metadata }: Model): Finding[] {
  const [template, tokens] = [metadata.get(RERANK_TEMPLATE_KEY), metadata.get(TOKENS)];
  if (typeof template !== "string" || !Array.isArray(tokens)) return [];
  const thinks = tokens.includes("<think>");
  if (template.includes("<think>") === thinks) return [];
  if (thinks) {
    if (!PROMPTED_RANK_ARCHITECTURES.has(arch)) return [];
    return [
      {
        code: "rank-think-missing",
        severity: "warning",
        message: `${RERANK_TEMPLATE_KEY} ends without the empty <think> block that Qwen's rerankers were trained with: the judgement is asked for before the thought`,
        remedy: "convert again with the prompt of the model's card",
      },
    ];
  }
  return [
    {
      code: "rank-think-missing",
      severity: "warning",
      message: `${RERANK_TEMPLATE_KEY} has a <think> block, and the vocabulary no such token: the prompt is of another model`,
      remedy: "convert again with the prompt of this model",
    },
  ];
}
