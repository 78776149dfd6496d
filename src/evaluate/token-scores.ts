/** Scores of tokens as bytes, 64 bits a figure, as they are measured: what machines hand to each other. */
import type { TokenScores } from "../engine/engine.ts";

/** nll, referenceNll and kld of a token, and a byte that says whether the most likely one is the same. */
const TOKEN_BYTES = 3 * Float64Array.BYTES_PER_ELEMENT + 1;

export function scoresBytes(tokens: number): number {
  return tokens * TOKEN_BYTES;
}

/** Throws where the model was compared with none. */
export function encodeScores({ nll, referenceNll, kld, sameTop }: TokenScores): Uint8Array[] {
  if (referenceNll === undefined || kld === undefined || sameTop === undefined) {
    throw new Error("scores of a model that was compared with no reference");
  }
  return [nll, referenceNll, kld, sameTop].map(
    ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
  );
}

/** Of as many tokens as the bytes are of. */
export function decodeScores(bytes: Uint8Array): TokenScores {
  const tokens = bytes.length / TOKEN_BYTES;
  const doubles = (place: number) => {
    const length = tokens * Float64Array.BYTES_PER_ELEMENT;
    // copied: an array of numbers begins at a multiple of their size
    return new Float64Array(Uint8Array.from(bytes.subarray(place * length, (place + 1) * length)).buffer);
  };
  return { nll: doubles(0), referenceNll: doubles(1), kld: doubles(2), sameTop: bytes.slice(-tokens) };
}
