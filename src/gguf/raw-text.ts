/**
 * Bytes of a file as text and back without a loss: a string of a GGUF file is UTF-8 by convention only, and llama.cpp copies
 * its bytes. A byte that is no part of a character becomes half of a surrogate pair, U+DC00 + byte, which JSON keeps too.
 */

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LOOSE_BYTE = /([\udc80-\udcff])/u;
const ESCAPE = 0xdc00;
/** Bytes of the longest character. */
const MAX_CHARACTER = 4;

export function textOfBytes(bytes: Uint8Array): string {
  const whole = decode(bytes);
  if (whole !== undefined) return whole;
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const [character, length] = characterAt(bytes, at);
    text += character;
    at += length;
  }
  return text;
}

function characterAt(bytes: Uint8Array, at: number): [string, number] {
  for (let length = 1; length <= MAX_CHARACTER; length++) {
    const character = decode(bytes.subarray(at, at + length));
    if (character !== undefined) return [character, length];
  }
  return [String.fromCharCode(ESCAPE + (bytes[at] as number)), 1];
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return STRICT.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The bytes that `textOfBytes` was given; of any other text its UTF-8. */
export function bytesOfText(text: string): Uint8Array {
  const encoder = new TextEncoder();
  const parts = text
    .split(LOOSE_BYTE)
    .map((part) => (LOOSE_BYTE.test(part) ? Uint8Array.of(part.charCodeAt(0) - ESCAPE) : encoder.encode(part)));
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Bytes of a string in `llama_model_kv_override`, less the terminating NUL. */
export const MAX_OVERRIDE_BYTES = 127;

/** The bytes that llama-quantize makes of a string that it sets: up to a NUL, cut wherever the room ends. */
export function overrideBytes(text: string): Uint8Array {
  const bytes = bytesOfText(text);
  const nul = bytes.indexOf(0);
  return bytes.subarray(0, Math.min(nul < 0 ? bytes.length : nul, MAX_OVERRIDE_BYTES));
}

/** As much of a string as overrideBytes() asks for, with the character whole in which it cuts. */
export function overrideText(bytes: Uint8Array): string {
  const nul = bytes.indexOf(0);
  const whole = nul < 0 ? bytes : bytes.subarray(0, nul);
  let end = Math.min(MAX_OVERRIDE_BYTES, whole.length);
  while (end < MAX_OVERRIDE_BYTES + MAX_CHARACTER && ((whole[end] ?? 0) & 0xc0) === 0x80) end++;
  return textOfBytes(whole.subarray(0, end));
}
