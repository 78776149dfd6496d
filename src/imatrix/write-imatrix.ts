/** Writes sums of squared inputs as llama-imatrix does: the GGUF form, the same keys and tensors in the same order. */
import type { ImportanceSums } from "../engine/engine.ts";
import { dimensionCount } from "../ggml/convertible.ts";
import { type NewTensor, writeGguf } from "../gguf/writer.ts";
import { CHUNK_COUNT_KEY, CHUNK_SIZE_KEY, COUNTS, DATASETS_KEY, SUMS } from "./gguf-form.ts";

export interface NewImatrix {
  readonly entries: ReadonlyMap<string, ImportanceSums>;
  /** Path of the text, or words about it. */
  readonly dataset: string;
  /** Tokens of a chunk. */
  readonly context: number;
}

/** Write the file, replacing one only once the new one is complete. */
export async function writeImatrix(path: string, { entries, dataset, context }: NewImatrix): Promise<void> {
  const names = [...entries.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  await writeGguf(path, {
    keyValues: [
      { key: "general.type", type: "string", value: "imatrix" },
      { key: DATASETS_KEY, type: { array: "string" }, value: [dataset] },
      { key: CHUNK_COUNT_KEY, type: "u32", value: countChunks(entries, context) },
      { key: CHUNK_SIZE_KEY, type: "u32", value: context },
    ],
    tensors: names.flatMap((name) => {
      const { sums, counts } = entries.get(name) as ImportanceSums;
      return [
        floats(name + SUMS, [sums.length / counts.length, counts.length], sums),
        floats(name + COUNTS, [1, counts.length], Float32Array.from(counts)),
      ];
    }),
  });
}

/** Chunks as llama-imatrix counts them: the most rows any matrix saw, in whole contexts. */
function countChunks(entries: NewImatrix["entries"], context: number): number {
  let rows = 0;
  for (const { counts } of entries.values()) for (const count of counts) rows = Math.max(rows, count);
  return Math.floor(rows / context);
}

function floats(name: string, shape: readonly number[], values: Float32Array): NewTensor {
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { name, type: "F32", shape: shape.slice(0, dimensionCount(shape)), data };
}
