/** A model's vocabulary as llama.cpp takes it, once its tokenizer is known and its tokens are there. */
import { TOKENIZER_MODELS, type TokenizerKind } from "../ggml/tokenizer-facts.ts";
import type { Model } from "../gguf/model.ts";

export const TOKENIZER_KEY = "tokenizer.ggml.model";
export const PRE_KEY = "tokenizer.ggml.pre";
export const TOKENS_KEY = "tokenizer.ggml.tokens";
export const TYPES_KEY = "tokenizer.ggml.token_type";
export const SCORES_KEY = "tokenizer.ggml.scores";
export const MERGES_KEY = "tokenizer.ggml.merges";
export const CHARSMAP_KEY = "tokenizer.ggml.precompiled_charsmap";

export interface Vocabulary {
  readonly model: Model;
  /** tokenizer.ggml.model. */
  readonly tokenizer: string;
  readonly kind: TokenizerKind;
  /** "" where there is none. */
  readonly pre: string;
  readonly tokens: readonly string[];
  /** Of each token, where the file has as many and stores them as llama.cpp wants. */
  readonly types: readonly number[] | undefined;
}

/** Undefined for a tokenizer that llama.cpp does not know, and for one without tokens. */
export function readVocabulary(model: Model): Vocabulary | undefined {
  const { metadata } = model;
  const tokenizer = metadata.get(TOKENIZER_KEY);
  const tokens = arrayOf(model, TOKENS_KEY, ["string"]);
  const kind = typeof tokenizer === "string" ? TOKENIZER_MODELS.get(tokenizer) : undefined;
  if (typeof tokenizer !== "string" || kind === undefined || kind === "none" || tokens === undefined) return undefined;
  const types = arrayOf(model, TYPES_KEY, ["i32"]);
  const pre = metadata.get(PRE_KEY);
  return {
    model,
    tokenizer,
    kind,
    // llama.cpp overrides it for this one
    pre: tokenizer === "gemma4" ? "gemma4" : typeof pre === "string" ? pre : "",
    tokens: tokens.map(String),
    types: types === undefined || types.length < tokens.length ? undefined : types.map(Number),
  };
}

/** An array whose elements are of one of these types; undefined for anything else. */
export function arrayOf({ metadata, keyTypes }: Model, key: string, elements: readonly string[]) {
  const [value, element] = [metadata.get(key), keyTypes.get(key)?.element];
  return Array.isArray(value) && element !== undefined && elements.includes(element) ? value : undefined;
}
