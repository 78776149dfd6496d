/** Quoting of hostile strings for the shells that recipes are written for. Names and paths come from files. */
import { UNPRINTABLE } from "./unprintable.ts";

/** Unprintable characters of a text and what is between them; line breaks are printed. */
const RUNS = new RegExp(`((?:(?!\\n)${UNPRINTABLE.source})+)`, "u");

/** One word of POSIX sh: everything between single quotes is literal, and what can't be read there is said in octal. */
export function quoteSh(text: string): string {
  const parts = text.replaceAll("\0", "").split(RUNS);
  const quoted = parts.map((part, index) =>
    index % 2 === 1 ? `"$(printf '${octal(part)}')"` : `'${part.replaceAll("'", "'\\''")}'`,
  );
  return quoted.filter((part) => part !== "''").join("") || "''";
}

/** The bytes of a text as printf reads them. */
function octal(text: string): string {
  return [...new TextEncoder().encode(text)].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
}

/** A word for a person to type: as it is where every shell takes it for one, else quoted for POSIX sh. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : quoteSh(word);
}

/**
 * One string of PowerShell, which takes typographic single quotes for single quotes; what can't be read there is said by
 * number.
 */
export function quotePowerShell(text: string): string {
  const parts = text.replaceAll("\0", "").split(RUNS);
  const quoted = parts.map((part, index) =>
    index % 2 === 1
      ? [...part].map((char) => `[char]0x${char.charCodeAt(0).toString(16)}`).join(" + ")
      : `'${part.replace(/['\u2018\u2019\u201a\u201b]/g, "$&$&")}'`,
  );
  return quoted.length === 1 ? (quoted[0] as string) : `(${quoted.join(" + ")})`;
}

/** A path that can't be mistaken for a flag. */
export function pathArgument(path: string): string {
  return path.startsWith("-") ? `./${path}` : path;
}
