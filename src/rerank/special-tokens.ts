/** The special tokens of a model as they are written out: what a text must not pass for where a person wrote it. */
import type { Model } from "../gguf/model.ts";
import { TOKEN_TYPE } from "../preflight/prompt-findings.ts";

/** Whether a thought can begin: then prompts end it before they ask. */
export function hasThinkToken({ metadata }: Pick<Model, "metadata">): boolean {
  const tokens = metadata.get("tokenizer.ggml.tokens");
  return Array.isArray(tokens) && tokens.includes("<think>");
}

/**
 * Matches any of them, globally; undefined where there is none. Tokens that a model's users may write (type user-defined,
 * like <think>) are none: llama.cpp takes them for tokens in any text.
 */
export function specialPattern({ metadata }: Pick<Model, "metadata">): RegExp | undefined {
  const [tokens, types] = [metadata.get("tokenizer.ggml.tokens"), metadata.get("tokenizer.ggml.token_type")];
  if (!Array.isArray(tokens) || !Array.isArray(types)) return undefined;
  const special = tokens.filter((token, id): token is string => {
    const type = Number(types[id]);
    return typeof token === "string" && token !== "" && (type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown);
  });
  if (special.length === 0) return undefined;
  // the longest first: where one begins with another, llama.cpp takes the longer
  special.sort((a, b) => b.length - a.length);
  return new RegExp(special.map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "g");
}
