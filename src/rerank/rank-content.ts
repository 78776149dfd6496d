/** What is ranked, and what it is ranked for: a text, or a picture with or without a text. */
import type { Picture } from "./picture.ts";

export interface Pictured {
  readonly picture: Picture;
  /** Read after the picture. */
  readonly text?: string | undefined;
}

export type RankContent = string | Pictured;

/** A query with its documents. */
export interface Asked<Content = RankContent> {
  readonly query: Content;
  readonly documents: readonly Content[];
}

/** Whether a query and its documents are texts. */
export function isOfTexts<Any extends Asked>(asked: Any): asked is Any & Asked<string> {
  return [asked.query, ...asked.documents].every((content) => typeof content === "string");
}

/** How a person knows it: a text as it is, a picture by its file's name and its size. */
export function labelOf(content: RankContent): string {
  if (typeof content === "string") return content;
  const { picture, text } = content;
  const { name = "image", width, height } = picture;
  return `${name} ${width}×${height}${text === undefined ? "" : `: ${text}`}`;
}
