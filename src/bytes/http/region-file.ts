/**
 * A part of a remote file on disk: which blocks of it are here, and their bytes. Layout: SHA-256 over the identity and all
 * that follows, a bitmap of the blocks, the blocks in order. What is not exactly that is not believed.
 */
import { createHash } from "node:crypto";

/**
 * Bytes of the unit that is fetched and kept. Small, because sampled rows lie far apart: on average a band (16 KiB and
 * more) costs one block too many.
 */
export const BLOCK_BYTES = 1 << 10;

/** Blocks of a region, one file each: 1 MiB. */
export const REGION_BLOCKS = 1 << 10;

const HASH_BYTES = 32;
const BITMAP_BYTES = REGION_BLOCKS / 8;

/** Blocks by their number in the region. */
export type Region = Map<number, Uint8Array>;

/** Write down a region. `identity` says what the blocks are of, and is not written. */
export function encodeRegion(region: Region, identity: string): Uint8Array {
  const bitmap = new Uint8Array(BITMAP_BYTES);
  const numbers = [...region.keys()].sort((a, b) => a - b);
  for (const number of numbers) bitmap[number >> 3] = (bitmap[number >> 3] ?? 0) | (1 << (number & 7));
  const content = Buffer.concat([bitmap, ...numbers.map((number) => region.get(number) as Uint8Array)]);
  return Buffer.concat([checksum(content, identity), content]);
}

/** Read a region; undefined for a damaged one. `lengthOf` gives the bytes of a block: only a file's last is short. */
export function decodeRegion(
  bytes: Uint8Array,
  identity: string,
  lengthOf: (number: number) => number,
): Region | undefined {
  const content = bytes.subarray(HASH_BYTES);
  if (content.length < BITMAP_BYTES || !checksum(content, identity).equals(bytes.subarray(0, HASH_BYTES))) {
    return undefined;
  }
  const region: Region = new Map();
  let offset = BITMAP_BYTES;
  for (let number = 0; number < REGION_BLOCKS; number++) {
    if ((((content[number >> 3] ?? 0) >> (number & 7)) & 1) === 0) continue;
    const end = offset + lengthOf(number);
    region.set(number, content.subarray(offset, end));
    offset = end;
  }
  return offset === content.length ? region : undefined;
}

function checksum(content: Uint8Array, identity: string): Buffer {
  return createHash("sha256").update(identity).update("\0").update(content).digest();
}
