/**
 * Filled templates with images → the parts that the engine reads: an image stands before its text, in the place of the
 * query or the document. The template's special tokens count; what a person wrote is text, whatever it looks like.
 */
import type { PromptPart } from "../engine/engine.ts";
import type { PromptForm } from "./encode-prompts.ts";
import type { MediaPair } from "./media-prompt.ts";
import type { RankContent } from "./rank-content.ts";
import { splitTemplate } from "./rerank-prompt.ts";

/** The parts of a prompt. Texts that are read alike are one, so that they tokenize as a whole. */
export function promptParts(
  template: string,
  { query, document, instruct }: MediaPair,
  { special, places }: Pick<PromptForm, "special" | "places">,
): PromptPart[] {
  const contents: Readonly<Record<string, RankContent>> = { "{query}": query, "{document}": document };
  const parts: PromptPart[] = [];
  const addText = (text: string, counts: boolean) => {
    const last = parts.at(-1);
    if (text === "") return;
    if (last === undefined || "image" in last || last.special !== counts) parts.push({ text, special: counts });
    else parts[parts.length - 1] = { text: last.text + text, special: counts };
  };
  for (const { text, own, place } of splitTemplate(template, {
    query: textOf(query),
    document: textOf(document),
    instruct,
  })) {
    const content = place === undefined ? undefined : contents[place];
    if (typeof content === "object") parts.push({ image: Buffer.from(content.picture.base64, "base64") });
    addText(text, own || places === "llama.cpp" || special === undefined || text.search(special) < 0);
  }
  return parts;
}

function textOf(content: RankContent): string {
  return typeof content === "string" ? content : (content.text ?? "");
}
