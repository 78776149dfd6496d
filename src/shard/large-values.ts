/**
 * Values that are too large for a document: a file beside the part, named by the unit and by what is in it, written aside and
 * renamed. The part holds its bytes and SHA-256, so that equal work has one name and other work is found out.
 */
import { createHash } from "node:crypto";
import { open, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { openFileSource } from "../bytes/source.ts";
import { withScratchFile } from "../disk/aside-file.ts";
import type { Content } from "../documents/fields.ts";
import * as t from "../documents/fields.ts";
import { IncompleteError } from "../errors.ts";
import { partsFolder, removeParts } from "./parts.ts";

export const LARGE_VALUE = t.object({ bytes: t.bytes(), sha256: t.text() });
export type LargeValue = Content<typeof LARGE_VALUE>;

/** Bytes read at a time. */
const PIECE_BYTES = 2 ** 23;
/** Digits of the sum that are enough to tell values of one unit apart. */
const NAME_DIGITS = 32;

function fileOf(directory: string, unit: string, sha256: string): string {
  return join(partsFolder(directory), `${unit}.${sha256.slice(0, NAME_DIGITS)}.bin`);
}

/** Write the value of a unit as its pieces come. */
export async function writeLarge(
  directory: string,
  unit: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<LargeValue> {
  return withScratchFile(join(partsFolder(directory), `${unit}.bin`), async (scratch) => {
    const hash = createHash("sha256");
    let bytes = 0;
    const file = await open(scratch, "w");
    try {
      for await (const piece of pieces) {
        hash.update(piece);
        await file.writeFile(piece);
        bytes += piece.length;
      }
    } finally {
      await file.close();
    }
    const sha256 = hash.digest("hex");
    await rename(scratch, fileOf(directory, unit, sha256));
    return { bytes, sha256 };
  });
}

/**
 * The value in pieces; after the last of them it is known to be what was written. Where it is not, the part that holds it is taken
 * away, so that it is made again, and IncompleteError thrown. Throws FileError where it can't be read.
 */
export async function* readLarge(
  directory: string,
  unit: string,
  { bytes, sha256 }: LargeValue,
): AsyncGenerator<Uint8Array> {
  const path = fileOf(directory, unit, sha256);
  const damaged = async (what: string) => {
    await removeParts(directory, unit);
    return new IncompleteError(
      `${path} ${what}, so its part was taken away: give prism shard run ${directory} to make it again`,
    );
  };
  const found = await stat(path).catch(() => undefined);
  if (found?.size !== bytes) {
    const has = found === undefined ? "is not there" : `has ${found.size} bytes`;
    throw await damaged(`${has}, expected ${bytes} bytes`);
  }
  const hash = createHash("sha256");
  const file = await openFileSource(path);
  try {
    for (let at = 0; at < bytes; at += PIECE_BYTES) {
      const piece = await file.read(at, Math.min(PIECE_BYTES, bytes - at));
      hash.update(piece);
      yield piece;
    }
  } finally {
    await file.close();
  }
  if (hash.digest("hex") !== sha256) throw await damaged("is damaged (its checksum is another)");
}

/** The whole value. */
export async function readLargeWhole(directory: string, unit: string, value: LargeValue): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of readLarge(directory, unit, value)) pieces.push(piece);
  return Buffer.concat(pieces);
}
