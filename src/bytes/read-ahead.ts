/** Reads the start of a distant source in large pieces and keeps them: a header is read in small steps, and three times. */
import type { ByteSource } from "./source.ts";

/** Bytes of a piece: a large vocabulary takes 5 to 10 of them. */
const PIECE_BYTES = 1 << 20;

/** A view of `source` that keeps what was read through it. Closing is left to the source itself. */
export function readAhead(source: ByteSource): ByteSource {
  const pieces = new Map<number, Promise<Uint8Array>>();
  const piece = (index: number): Promise<Uint8Array> => {
    const start = index * PIECE_BYTES;
    const found = pieces.get(index) ?? source.read(start, Math.min(PIECE_BYTES, source.byteLength - start));
    pieces.set(index, found);
    return found;
  };
  return {
    path: source.path,
    byteLength: source.byteLength,
    async read(offset, bytes) {
      // the source says what is wrong with a range
      if (offset < 0 || bytes <= 0 || offset + bytes > source.byteLength) return source.read(offset, bytes);
      const first = Math.floor(offset / PIECE_BYTES);
      const count = Math.floor((offset + bytes - 1) / PIECE_BYTES) - first + 1;
      const data = new Uint8Array(bytes);
      const parts = await Promise.all(Array.from({ length: count }, (_, i) => piece(first + i)));
      parts.forEach((part, i) => {
        const start = (first + i) * PIECE_BYTES;
        const from = Math.max(offset - start, 0);
        const to = Math.min(offset + bytes - start, part.length);
        data.set(part.subarray(from, to), start + from - offset);
      });
      return data;
    },
    close: async () => undefined,
  };
}
