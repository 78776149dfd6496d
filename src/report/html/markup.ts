/** HTML as text, everything from a document escaped. */
import { asciiJson } from "../../unprintable.ts";

/** Markup that was escaped where it had to be. */
export interface Markup {
  readonly html: string;
}

type Part = Markup | string | number | undefined | readonly (Markup | string)[];

/** A template whose parts are escaped unless they are markup themselves. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return { html: strings.reduce((text, string, index) => text + render(parts[index - 1]) + string) };
}

function render(part: Part): string {
  if (part === undefined) return "";
  if (typeof part === "string") return escapeHtml(part);
  if (typeof part === "number") return String(part);
  if (Array.isArray(part)) return part.map(render).join("");
  return (part as Markup).html;
}

/** Text for content and for attributes in quotes. */
export function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

/** JSON for a script element of type application/json: no text in it can end the element, or reorder who reads it. */
export function embedJson(value: unknown): Markup {
  return { html: asciiJson(JSON.stringify(value)).replaceAll("<", "\\u003c") };
}
