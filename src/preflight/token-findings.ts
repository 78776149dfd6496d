/** Findings about the tokens of a vocabulary: those that llama.cpp ends on, and bytes of a text that it has none for. */
import {
  BYTE_TOKEN_TYPE,
  LAST_TOKEN_TYPE,
  NOT_PHI3_ARCHITECTURE,
  NOT_PHI3_PRE,
  PHI3_TOKENS,
  RAW_PRE_TOKENIZERS,
} from "../ggml/tokenizer-facts.ts";
import type { Finding } from "./finding-codes.ts";
import { TOKENS_KEY, TYPES_KEY, type Vocabulary } from "./vocabulary.ts";

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;
/** llama.cpp reads the two digits of a byte's token from its 4th byte on, and ends where there is none. */
const BYTES_BEFORE_DIGITS = 3;
const NAMED = 4;
const AGAIN = "convert the model again with its own tokenizer files";
/** Some are made of a text without rare control characters: SmolLM2's. */
const BORN_WITHOUT = `nothing to repair where the original tokenizer has none either; otherwise ${AGAIN}`;

export function tokenFindings(vocabulary: Vocabulary): Finding[] {
  return [
    ...listFindings(vocabulary),
    ...typeFindings(vocabulary),
    ...byteTypeFindings(vocabulary),
    ...byteFindings(vocabulary),
    ...phi3Findings(vocabulary),
  ];
}

function listFindings({ model, tokens }: Vocabulary): Finding[] {
  const faults = model.keyValues.find(({ key }) => key === TOKENS_KEY)?.tokenFaults;
  if (faults === undefined) return [];
  const findings: Finding[] = [];
  if (faults.repeated !== undefined) {
    const [first, second] = faults.repeated;
    findings.push({
      code: "token-repeated",
      severity: "error",
      message: `tokens ${first} and ${second} of ${TOKENS_KEY} are both ${JSON.stringify(tokens[second])}: llama.cpp ends its process on a vocabulary with a token twice`,
      remedy: AGAIN,
    });
  }
  if (faults.empty > 0) {
    findings.push({
      code: "token-empty",
      severity: "warning",
      message: `${faults.empty} ${faults.empty === 1 ? "token has" : "tokens have"} no text (first: ${faults.firstEmpty}): llama.cpp writes [EMPTY_${faults.firstEmpty}] for it`,
      remedy: AGAIN,
    });
  }
  return findings;
}

function typeFindings({ tokens, types }: Vocabulary): Finding[] {
  const odd = types?.slice(0, tokens.length).findIndex((type) => type < 0 || type > LAST_TOKEN_TYPE) ?? -1;
  if (odd < 0) return [];
  return [
    {
      code: "token-type-unknown",
      severity: "warning",
      message: `${TYPES_KEY} of token ${odd} is ${types?.[odd]}, expected 0 to ${LAST_TOKEN_TYPE}: llama.cpp writes no text for it`,
      remedy: AGAIN,
    },
  ];
}

/** Tokens typed as bytes whose text names none. */
function byteTypeFindings({ kind, tokens, types }: Vocabulary): Finding[] {
  if (kind === "rwkv" || kind === "plamo2" || kind === "test") return [];
  const bytes = tokens.flatMap((token, id) => (types?.[id] === BYTE_TOKEN_TYPE ? [{ token, id }] : []));
  const fatal = bytes.find(({ token }) => kind === "wpm" || utf8Length(token) < BYTES_BEFORE_DIGITS);
  const odd = fatal ?? bytes.find(({ token }) => !BYTE_TOKEN.test(token));
  if (odd === undefined) return [];
  const consequence =
    kind === "wpm"
      ? "expected none in a WordPiece vocabulary: llama.cpp ends its process on it"
      : `expected a text like <0x0A>: llama.cpp ${fatal === undefined ? "writes another byte for it" : "refuses the file"}`;
  return [
    {
      code: "byte-token-name",
      severity: fatal === undefined ? "warning" : "error",
      message: `token ${odd.id}, ${JSON.stringify(odd.token)}, is typed as a byte, ${consequence}`,
      remedy: AGAIN,
    },
  ];
}

/** Bytes that a text can have and the vocabulary has no token for. */
function byteFindings(vocabulary: Vocabulary): Finding[] {
  const missing = missingBytes(vocabulary);
  if (missing.length === 0) return [];
  const shown = missing.slice(0, NAMED).map(byteName).join(", ");
  const more = missing.length > NAMED ? ` and ${missing.length - NAMED} more` : "";
  const [severity, consequence, remedy] = {
    plamo2: ["error", "llama.cpp refuses a PLaMo-2 vocabulary without one for each", AGAIN] as const,
    spm: [
      "warning",
      "llama.cpp ends its process on a text with such a byte that no other token covers",
      AGAIN,
    ] as const,
    bpe: ["warning", "llama.cpp drops such a byte from a text, unless another token covers it", BORN_WITHOUT] as const,
  }[vocabulary.kind as "plamo2" | "spm" | "bpe"];
  return [
    {
      code: "byte-tokens-missing",
      severity,
      message: `the vocabulary has no token for ${missing.length === 1 ? "the byte" : "the bytes"} ${shown}${more}: ${consequence}`,
      remedy,
    },
  ];
}

function missingBytes({ kind, tokenizer, pre, tokens, types }: Vocabulary): number[] {
  const known = new Set(tokens);
  const every = Array.from({ length: 256 }, (_, byte) => byte);
  if (kind === "plamo2") {
    const found = new Set<number>();
    // an id of 0 counts as none
    tokens.forEach((token, id) => {
      const digits = types?.[id] === BYTE_TOKEN_TYPE ? BYTE_TOKEN.exec(token)?.[1] : undefined;
      if (digits === undefined) return;
      if (id > 0) found.add(Number.parseInt(digits, 16));
    });
    return every.filter((byte) => !found.has(byte));
  }
  if (kind === "spm") {
    return utf8Bytes(every).filter(
      (byte) => !known.has(byteName(byte)) && !(byte < 0x80 && known.has(String.fromCharCode(byte))),
    );
  }
  if (kind !== "bpe" || tokenizer === "hybriddna" || RAW_PRE_TOKENIZERS.has(pre)) return [];
  const letters = gpt2Letters();
  return utf8Bytes(every).filter((byte) => !known.has(letters[byte] ?? ""));
}

/** Without those that no text in UTF-8 has, which some vocabularies leave out, and NUL. */
function utf8Bytes(bytes: readonly number[]): number[] {
  return bytes.filter((byte) => byte > 0 && byte !== 0xc0 && byte !== 0xc1 && byte < 0xf5);
}

/** The letter by which GPT-2 writes each byte: itself where printable, else one from U+0100 on. */
function gpt2Letters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(isPrintable ? byte : next++);
  });
}

function byteName(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}

function phi3Findings({ model, pre, tokens }: Vocabulary): Finding[] {
  const name = model.name ?? "";
  if (!/phi-?3/i.test(name) || NOT_PHI3_PRE.test(pre) || NOT_PHI3_ARCHITECTURE.test(model.arch)) return [];
  const missing = PHI3_TOKENS.filter((token) => !tokens.includes(token));
  if (missing.length === 0) return [];
  return [
    {
      code: "phi-3-tokens",
      severity: "error",
      message: `general.name is ${JSON.stringify(name)}, and the vocabulary has no ${missing.join(", ")}: llama.cpp looks for them in a model of that name, and refuses the file`,
      remedy: "give the model a name without phi-3 in it (gguf_new_metadata.py --general-name)",
    },
  ];
}
