/**
 * The seal of a file of reference logits, in a file beside it: a SHA-256 of its header and tokens, and one of each chunk,
 * since llama.cpp's format has room for none. A file without its seal, or of other tokens, is not believed.
 */
import { webcrypto } from "node:crypto";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import type { Bench } from "../bench.ts";
import { readSealed, writeSealed } from "../disk/sealed-file.ts";
import type { EvaluationTokens } from "../engine/engine.ts";
import { type LogitsShape, logitsFileBytes, logitsOffset, readLogitsFile } from "../engine/logits-file.ts";
import { createWorkQueue } from "../work-queue.ts";

/** Chunks that are read and hashed at a time. */
const WIDTH = 4;

/** Files that this process has found whole, and what they were then: each is read once. */
const whole = new Map<string, string>();

export function sealOfLogits(path: string): string {
  return `${path}.sha256`;
}

/** Seal the finished file `aside`, which is to be called `path`. */
export async function sealLogits(path: string, aside: string, signal: AbortSignal): Promise<void> {
  const { tokens, vocabSize } = await readLogitsFile(aside);
  await writeSealed(sealOfLogits(path), (await hashParts(aside, { ...tokens, vocabSize }, signal)).join("\n"));
}

/** Whether `path` holds the logits of exactly these tokens, unharmed; what is damaged is removed and said. */
export async function areWholeLogits(
  path: string,
  tokens: EvaluationTokens,
  vocabSize: number,
  { signal, progress }: Pick<Bench, "signal" | "progress">,
): Promise<boolean> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (found === undefined) return false;
  const revision = `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}`;
  if (whole.get(path) === revision) return true;
  const sealed = (await readSealed(sealOfLogits(path), progress.note))?.toString("latin1").split("\n");
  const damage = sealed === undefined ? "its seal is missing" : await damageOf(path, tokens, vocabSize, sealed, signal);
  if (damage === undefined) {
    whole.set(path, revision);
    return true;
  }
  await rm(path, { force: true });
  progress.note(`! ${path} is damaged (${damage}): made again`);
  return false;
}

async function damageOf(
  path: string,
  tokens: EvaluationTokens,
  vocabSize: number,
  sealed: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const shape = { ...tokens, vocabSize };
  const read = await readLogitsFile(path).catch((error: Error) => error);
  if (read instanceof Error) return read.message;
  const isSame = read.vocabSize === vocabSize && read.tokens.context === tokens.context;
  if (!isSame || Buffer.compare(bytesOf(read.tokens), bytesOf(tokens)) !== 0) return "it is of other tokens";
  const hashes = await hashParts(path, shape, signal);
  const bad = hashes.findIndex((hash, part) => hash !== sealed[part]);
  if (bad < 0 && sealed.length === hashes.length) return undefined;
  return bad === 0 ? "its header is not the one it was sealed with" : `chunk ${bad} is not the one it was sealed with`;
}

function bytesOf({ ids }: EvaluationTokens): Uint8Array {
  return new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
}

/** SHA-256 of the header with the tokens, and of each chunk. */
async function hashParts(path: string, shape: LogitsShape, signal: AbortSignal): Promise<string[]> {
  const queue = createWorkQueue(WIDTH, signal);
  const file = await open(path, "r");
  try {
    const starts = [0, ...Array.from({ length: shape.chunks }, (_, chunk) => logitsOffset(shape, chunk))];
    const hashes = starts.map((start, part) =>
      queue.run(() => hashRange(file, start, starts[part + 1] ?? logitsFileBytes(shape))),
    );
    return await Promise.all(hashes);
  } finally {
    await file.close();
  }
}

async function hashRange(file: FileHandle, start: number, end: number): Promise<string> {
  const bytes = Buffer.allocUnsafeSlow(end - start);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
  const hash = await webcrypto.subtle.digest("SHA-256", bytes.subarray(0, bytesRead));
  return Buffer.from(hash).toString("hex");
}
