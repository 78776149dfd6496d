/**
 * Findings about RWKV's vocabulary. llama.cpp takes the longest token from each place of a text; where longer tokens begin
 * with a byte that is none itself, it takes a token of no length, and never ends.
 */
import type { Finding } from "./finding-codes.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** What llama.cpp tokenizes while it loads a model. */
const NEWLINE = 0x0a;
const ESCAPES: Readonly<Record<string, number>> = { t: 0x09, n: NEWLINE, r: 0x0d };

export function rwkvFindings({ kind, tokens }: Vocabulary): Finding[] {
  if (kind !== "rwkv") return [];
  const [beginnings, whole] = [new Set<number>(), new Set<number>()];
  for (const token of tokens) {
    const beginning = firstByte(token);
    if (beginning === undefined) continue;
    beginnings.add(beginning.byte);
    if (beginning.isWhole) whole.add(beginning.byte);
  }
  const missing = [...beginnings].filter((byte) => !whole.has(byte));
  if (missing.length === 0) return [];
  const atLoad = missing.includes(NEWLINE);
  return [
    {
      code: "byte-tokens-missing",
      severity: atLoad ? "error" : "warning",
      message: atLoad
        ? "tokens begin with a newline, and none is one: llama.cpp looks that up as it loads the model, and never ends"
        : `tokens begin with ${missing.length === 1 ? "a byte" : `${missing.length} bytes`} (first: 0x${hex(missing[0])}) that no token is alone: llama.cpp never ends on a text with one in another place`,
      remedy: "convert the model again with its own tokenizer files",
    },
  ];
}

const hex = (byte = 0) => byte.toString(16).padStart(2, "0");

/** The first byte of a token as RWKV writes it (\n, \xHH), and whether it is all of it. */
function firstByte(token: string): { readonly byte: number; readonly isWhole: boolean } | undefined {
  const escaped = /^\\(?:x([0-9a-f]{2})|(.))/su.exec(token);
  const [all = token, digits, letter] = escaped ?? [];
  if (digits !== undefined) return { byte: Number.parseInt(digits, 16), isWhole: token === all };
  if (letter !== undefined && ESCAPES[letter] !== undefined) return { byte: ESCAPES[letter], isWhole: token === all };
  const bytes = new TextEncoder().encode(letter === undefined ? token : token.slice(1));
  return bytes[0] === undefined ? undefined : { byte: bytes[0], isWhole: bytes.length === 1 };
}
