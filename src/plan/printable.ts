import { UNPRINTABLE } from "../unprintable.ts";

/** Names from a file as text on a terminal or in a comment: nothing that could end a line, move a cursor or reorder text. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, "?");
}
