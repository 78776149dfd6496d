/** Findings about the special tokens of a vocabulary: ids that are none of its tokens, and tokens that llama.cpp makes up. */
import {
  ALWAYS_BOS_PRE_TOKENIZERS,
  BOS_PRE_TOKENIZERS,
  DEFAULT_TOKENS,
  NO_BOS_PRE_TOKENIZERS,
  type SpecialToken,
  TOKEN_ID_KEYS,
} from "../ggml/tokenizer-facts.ts";
import type { Model } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";
import { mistypedKeys } from "./key-type-findings.ts";
import type { Vocabulary } from "./vocabulary.ts";

const idKey = (token: SpecialToken) => `tokenizer.ggml.${token}_token_id`;

export function specialTokenFindings(vocabulary: Vocabulary): Finding[] {
  // llama.cpp refuses the file before it makes anything of these keys
  if (mistypedKeys(vocabulary.model).length > 0) return [];
  return [...rangeFindings(vocabulary), ...absentFindings(vocabulary), ...defaultFindings(vocabulary)];
}

/** Ids beyond the vocabulary. */
function rangeFindings({ model, tokens }: Vocabulary): Finding[] {
  const ids = TOKEN_ID_KEYS.flatMap((key) => {
    const id = storedId(model, key);
    return id === undefined || id < tokens.length ? [] : [`${key} is ${id}`];
  });
  if (ids.length === 0) return [];
  return [
    {
      code: "special-token-range",
      severity: "warning",
      message: `${ids.join(", ")}, but there are ${tokens.length} tokens: llama.cpp takes another token or none for ${ids.length === 1 ? "it" : "them"}`,
      remedy: "convert the model again with its own tokenizer files",
    },
  ];
}

/** Tokens that llama.cpp puts around a text, and ends its process where there are none. */
function absentFindings(vocabulary: Vocabulary): Finding[] {
  const absent = addedTokens(vocabulary).filter((token) => specialToken(vocabulary, token) === undefined);
  if (absent.length === 0) return [];
  const { model } = vocabulary;
  const keys = absent.map((token) => `${idKey(token)} is ${storedId(model, idKey(token)) ?? "absent"}`);
  return [
    {
      code: "special-token-absent",
      severity: "error",
      message: `llama.cpp adds ${absent.join(" and ")} to each text of this vocabulary, but ${keys.join(" and ")}: it ends its process on the first text`,
      remedy: "convert the model again with its own tokenizer files",
    },
  ];
}

/** Token 11 of a BPE vocabulary, which llama.cpp takes where the file names none. */
function defaultFindings(vocabulary: Vocabulary): Finding[] {
  const { kind, model, tokens } = vocabulary;
  if (kind !== "bpe") return [];
  const added = addedTokens(vocabulary);
  const made = (["bos", "eos"] as const).filter(
    (token) =>
      (token === "eos" || added.includes(token)) &&
      storedId(model, idKey(token)) === undefined &&
      specialToken(vocabulary, token) !== undefined,
  );
  if (made.length === 0) return [];
  const id = DEFAULT_TOKENS.bpe.eos ?? 0;
  return [
    {
      code: "special-token-default",
      severity: "warning",
      message: `${made.map(idKey).join(" and ")} ${made.length === 1 ? "is" : "are"} absent: llama.cpp takes token ${id}, ${JSON.stringify(tokens[id])}`,
      remedy: "convert the model again with its own tokenizer files",
    },
  ];
}

/** What llama.cpp puts around a text. */
function addedTokens({ kind, pre, model }: Vocabulary): SpecialToken[] {
  if (kind === "wpm") return ["bos", "seperator"];
  if (kind !== "spm" && kind !== "bpe" && kind !== "ugm") return [];
  const flag = (name: string, otherwise: boolean) => {
    const value = model.metadata.get(`tokenizer.ggml.${name}`);
    return typeof value === "boolean" ? value : otherwise;
  };
  const bos =
    flag("add_bos_token", kind === "spm" || (kind === "bpe" && BOS_PRE_TOKENIZERS.has(pre))) ||
    (kind === "bpe" && ALWAYS_BOS_PRE_TOKENIZERS.has(pre));
  return [...(bos ? (["bos"] as const) : []), ...(flag("add_eos_token", kind === "ugm") ? (["eos"] as const) : [])];
}

/** The id that llama.cpp ends with: that of the file, else its own; none beyond the vocabulary. */
function specialToken({ kind, tokenizer, pre, model, tokens }: Vocabulary, token: SpecialToken): number | undefined {
  const named = storedId(model, idKey(token));
  if (named !== undefined && named < tokens.length) return named;
  const hasNone = tokenizer === "gemma4" || (token === "bos" && NO_BOS_PRE_TOKENIZERS.has(pre) && kind === "bpe");
  const own = hasNone ? undefined : DEFAULT_TOKENS[kind][token];
  return own !== undefined && own < tokens.length ? own : undefined;
}

function storedId({ metadata }: Model, key: string): number | undefined {
  const id = metadata.get(key);
  return id === undefined ? undefined : Number(id);
}
