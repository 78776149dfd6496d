import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  chunkBytes,
  createLogitsFile,
  logitsFileBytes,
  logitsOffset,
  readLogitsFile,
  scoredTokens,
} from "../../src/engine/logits-file.ts";
import { FileError, FormatError } from "../../src/errors.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-logits-"));
});
afterAll(() => rm(dir, { recursive: true }));

const tokens = { context: 8, chunks: 2, ids: Int32Array.from({ length: 16 }, (_, i) => i) };
const VOCABULARY = 17;

async function writeComplete(name: string): Promise<string> {
  const path = join(dir, name);
  await createLogitsFile(path, tokens, VOCABULARY);
  await truncate(path, logitsFileBytes({ ...tokens, vocabSize: VOCABULARY }));
  return path;
}

/** A header with these numbers, and nothing after it. */
async function writeHeader(name: string, context: number, vocabSize: number, chunks: number): Promise<string> {
  const bytes = Buffer.alloc(64);
  bytes.write("_logits_", "latin1");
  bytes.writeUInt32LE(context, 8);
  bytes.writeInt32LE(vocabSize, 12);
  bytes.writeInt32LE(chunks, 16);
  const path = join(dir, name);
  await writeFile(path, bytes);
  return path;
}

describe("the sizes of a logits file", () => {
  it("are llama-perplexity's: 126,670,500 bytes for 20 chunks of 128 tokens over 50257 words", () => {
    expect(logitsFileBytes({ context: 128, chunks: 20, vocabSize: 50257 })).toBe(126_670_500);
  });

  it("count the second half of a context without its last position", () => {
    expect([512, 256, 9, 8].map(scoredTokens)).toEqual([255, 127, 4, 3]);
    expect(chunkBytes(8, VOCABULARY)).toBe(3 * 22 * 2);
    expect(logitsOffset({ context: 8, chunks: 2, vocabSize: VOCABULARY }, 1)).toBe(20 + 64 + 132);
  });
});

describe("a logits file", () => {
  it("gives back the tokens it was made with, little-endian after the header", async () => {
    const path = await writeComplete("whole");
    const read = await readLogitsFile(path);
    expect(read.vocabSize).toBe(VOCABULARY);
    expect(read.tokens).toEqual(tokens);
    const bytes = await readFile(path);
    expect(bytes.toString("latin1", 0, 8)).toBe("_logits_");
    expect(bytes.readInt32LE(20 + 4 * 5)).toBe(5);
  });

  it("is refused when it ends before its last record", async () => {
    const path = await writeComplete("cut");
    await truncate(path, logitsFileBytes({ ...tokens, vocabSize: VOCABULARY }) - 1);
    await expect(readLogitsFile(path)).rejects.toThrow(/damaged or unfinished: delete it/);
  });

  it("is refused with a token outside the vocabulary", async () => {
    const path = join(dir, "outside");
    const ids = tokens.ids.slice();
    ids[3] = VOCABULARY;
    await createLogitsFile(path, { ...tokens, ids }, VOCABULARY);
    await truncate(path, logitsFileBytes({ ...tokens, vocabSize: VOCABULARY }));
    await expect(readLogitsFile(path)).rejects.toThrow(`token 3 is ${VOCABULARY}, outside the vocabulary`);
  });

  it.each([
    ["a huge context", 0xffff_ffff, 10, 1],
    ["a context of one", 1, 10, 1],
    ["no vocabulary", 8, 0, 1],
    ["a negative vocabulary", 8, -5, 1],
    ["a huge vocabulary", 8, 0x7fff_ffff, 0x7fff_ffff],
    ["no chunks", 8, 10, 0],
    ["negative chunks", 8, 10, -1],
    ["huge everything", 0xffff_ffff, 0x7fff_ffff, 0x7fff_ffff],
  ])("is refused with %s, before anything is allocated for it", async (name, context, vocabSize, chunks) => {
    const path = await writeHeader(name.replaceAll(" ", "-"), context, vocabSize, chunks);
    await expect(readLogitsFile(path)).rejects.toBeInstanceOf(FormatError);
  });

  it("is refused with another magic, and when it is empty or absent", async () => {
    const other = join(dir, "other");
    await writeFile(other, "GGUF and more bytes than a header has");
    await expect(readLogitsFile(other)).rejects.toThrow("expected it to begin with _logits_");
    await writeFile(other, "");
    await expect(readLogitsFile(other)).rejects.toBeInstanceOf(FormatError);
    await expect(readLogitsFile(join(dir, "absent"))).rejects.toBeInstanceOf(FileError);
  });
});
