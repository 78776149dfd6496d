/**
 * Sealed files too large for one piece of memory: under the seal of `sealed-file.ts` stands a line that says what the file
 * holds, and behind it parts, written from where they lie and read into their place. The line has the parts' checksum.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { writeAside } from "./aside-file.ts";
import { removeDamaged, sealLine, touchUsed } from "./sealed-file.ts";

/** Bytes hashed and read at a time. */
const PIECE_BYTES = 2 ** 24;

/** Bytes that the line is looked for in at most: more is damage. */
const MOST_LINE_BYTES = 2 ** 26;

const NEWLINE = 10;

interface Line<Content> {
  readonly sha256: string;
  readonly content: Content;
}

/** Write aside and rename; `content` is JSON. */
export async function writeSealedParts<Content>(
  path: string,
  content: Content,
  parts: readonly Uint8Array[],
): Promise<void> {
  const hash = createHash("sha256");
  for (const part of parts) for (const piece of piecesOf(part)) hash.update(piece);
  const line = Buffer.from(`${JSON.stringify({ sha256: hash.digest("hex"), content } satisfies Line<Content>)}\n`);
  await writeAside(path, async (aside) => {
    const file = await open(aside, "wx");
    try {
      for (const part of [sealLine(path, line), line, ...parts]) await file.writeFile(part);
    } finally {
      await file.close();
    }
  });
}

/**
 * Read what the file holds, and its parts into the memory that `partsOf` makes for them. Undefined where there is nothing,
 * or, said to `onDamage`, something else.
 */
export async function readSealedParts<Content>(
  path: string,
  partsOf: (content: Content) => readonly Uint8Array[],
  onDamage: (text: string) => void,
): Promise<Content | undefined> {
  const file = await open(path, "r").catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const content = await readParts(file, path, partsOf);
    if (content === undefined) await removeDamaged(path, onDamage);
    else await touchUsed(path);
    return content;
  } finally {
    await file.close();
  }
}

async function readParts<Content>(
  file: FileHandle,
  path: string,
  partsOf: (content: Content) => readonly Uint8Array[],
): Promise<Content | undefined> {
  const head = await readHead(file);
  const lineAt = head.indexOf(NEWLINE) + 1;
  const line = head.subarray(lineAt);
  if (head.toString("latin1", 0, lineAt) !== sealLine(path, line)) return undefined;
  const { sha256, content } = JSON.parse(line.toString("utf8")) as Line<Content>;
  const hash = createHash("sha256");
  let position = head.length;
  for (const part of partsOf(content)) {
    for (const piece of piecesOf(part)) {
      if ((await readInto(file, piece, position)) < piece.length) return undefined;
      hash.update(piece);
      position += piece.length;
    }
  }
  const isWhole = hash.digest("hex") === sha256 && (await file.stat()).size === position;
  return isWhole ? content : undefined;
}

/** The seal and the line, as far as they are there. */
async function readHead(file: FileHandle): Promise<Buffer> {
  let head = Buffer.alloc(0);
  while (head.length < MOST_LINE_BYTES) {
    const piece = Buffer.alloc(2 ** 16);
    const read = await readInto(file, piece, head.length);
    head = Buffer.concat([head, piece.subarray(0, read)]);
    const sealEnd = head.indexOf(NEWLINE) + 1;
    const end = sealEnd === 0 ? 0 : head.indexOf(NEWLINE, sealEnd) + 1;
    if (end > 0) return head.subarray(0, end);
    if (read < piece.length) break;
  }
  return head;
}

/** Bytes that were read: fewer at the end of the file. */
async function readInto(file: FileHandle, piece: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < piece.length) {
    const { bytesRead } = await file.read(piece, done, piece.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

function* piecesOf(part: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < part.length; at += PIECE_BYTES) yield part.subarray(at, at + PIECE_BYTES);
}
