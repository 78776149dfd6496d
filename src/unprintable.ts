/** Characters that end a line, move a cursor or reorder what is read: names come from files of strangers. */
export const UNPRINTABLE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** JSON that says such characters by number. Between its values stand line breaks only, which stay. */
export function asciiJson(json: string): string {
  return json.replace(UNPRINTABLE, (char) =>
    char === "\n" ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
