/**
 * The file of reference logits in llama.cpp's own format (llama-perplexity --kl-divergence-base): "_logits_", u32
 * context, i32 vocabulary, i32 chunks, i32 tokens[chunks·context], then per chunk one record of 16-bit log
 * probabilities per scored token (child/log-softmax.ts). Little-endian.
 */
import { open } from "node:fs/promises";
import { FileError, FormatError } from "../errors.ts";
import { recordLength } from "./child/log-softmax.ts";
import type { EvaluationTokens } from "./engine.ts";

const MAGIC = "_logits_";
const HEADER_BYTES = 20;

export interface LogitsShape {
  readonly context: number;
  readonly chunks: number;
  readonly vocabSize: number;
}

/** Tokens scored in a chunk of this context: the second half without its last position. */
export function scoredTokens(context: number): number {
  return context - 1 - Math.floor(context / 2);
}

export function chunkBytes(context: number, vocabSize: number): number {
  return scoredTokens(context) * recordLength(vocabSize) * 2;
}

/** Byte where the records of a chunk begin. */
export function logitsOffset(shape: LogitsShape, chunk: number): number {
  return HEADER_BYTES + shape.chunks * shape.context * 4 + chunk * chunkBytes(shape.context, shape.vocabSize);
}

export function logitsFileBytes(shape: LogitsShape): number {
  return logitsOffset(shape, shape.chunks);
}

/** Create the file with its header and tokens; the records are appended by the engine chunk by chunk. */
export async function createLogitsFile(path: string, tokens: EvaluationTokens, vocabSize: number): Promise<void> {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, "latin1");
  header.writeUInt32LE(tokens.context, 8);
  header.writeInt32LE(vocabSize, 12);
  header.writeInt32LE(tokens.chunks, 16);
  const ids = Buffer.alloc(tokens.chunks * tokens.context * 4);
  for (let i = 0; i < tokens.chunks * tokens.context; i++) ids.writeInt32LE(tokens.ids[i] as number, i * 4);
  const file = await open(path, "w");
  try {
    await file.writeFile(Buffer.concat([header, ids]));
  } finally {
    await file.close();
  }
}

/**
 * Read and check a logits file's header. Throws FileError where it can't be opened, FormatError on another file, a
 * truncated one, or absurd counts.
 */
export async function readLogitsFile(path: string): Promise<{ tokens: EvaluationTokens; vocabSize: number }> {
  const file = await open(path, "r").catch((error: Error) => {
    throw new FileError(path, `no logits to read: ${error.message}`, { cause: error });
  });
  try {
    const { size: fileBytes } = await file.stat();
    const header = Buffer.alloc(HEADER_BYTES);
    const { bytesRead } = await file.read(header, 0, HEADER_BYTES, 0);
    if (bytesRead < HEADER_BYTES || header.toString("latin1", 0, 8) !== MAGIC) {
      throw new FormatError(path, `not a file of llama.cpp logits: expected it to begin with ${MAGIC}`, { offset: 0 });
    }
    const context = header.readUInt32LE(8);
    const vocabSize = header.readInt32LE(12);
    const chunks = header.readInt32LE(16);
    const shape = { context, chunks, vocabSize };
    if (context < 2 || vocabSize < 1 || chunks < 1 || logitsFileBytes(shape) > fileBytes) {
      throw new FormatError(
        path,
        `logits of ${chunks} chunks of ${context} tokens over ${vocabSize} words need ${logitsFileBytes(shape)} bytes, but the file has ${fileBytes}; it is damaged or unfinished: delete it and evaluate again`,
        { offset: 8 },
      );
    }
    const bytes = Buffer.alloc(chunks * context * 4);
    await file.read(bytes, 0, bytes.length, HEADER_BYTES);
    const ids = Int32Array.from({ length: chunks * context }, (_, i) => bytes.readInt32LE(i * 4));
    const bad = ids.findIndex((id) => id < 0 || id >= vocabSize);
    if (bad >= 0) throw new FormatError(path, `token ${bad} is ${ids[bad]}, outside the vocabulary of ${vocabSize}`);
    return { tokens: { context, chunks, ids }, vocabSize };
  } finally {
    await file.close();
  }
}
