/**
 * What a BERT adds up of each token before its first layer, with the type of its text: the rows of its embedding and, for
 * tokens of the second text, the second type in the place of the first, which llama.cpp adds to all.
 */
import { closeSync, openSync } from "node:fs";
import { rowBytes } from "../../ggml/tensor-types.ts";
import type { StoredRows, TypedPairs } from "../engine.ts";
import { readExactly } from "./file-pieces.ts";
import type { LlamaLibrary } from "./llama-library.ts";
import type { EmbeddedPrompt } from "./prompt-batches.ts";
import { decode } from "./round-trip.ts";

/** Per prompt the rows of its tokens; `seconds`: where the second text of each begins. */
export function pairRows(
  library: LlamaLibrary,
  prompts: readonly Int32Array[],
  { embedding, types, seconds }: TypedPairs,
): EmbeddedPrompt[] {
  const file = openSync(embedding.from, "r");
  const own = openSync(types.from, "r");
  try {
    const [first, second] = [0, 1].map((row) => readRow(library, own, types, row)) as [Float32Array, Float32Array];
    const change = second.map((value, column) => value - (first[column] as number));
    return prompts.map((ids, prompt) => {
      const { columns } = embedding;
      const rows = new Float32Array(ids.length * columns);
      ids.forEach((id, at) => {
        const row = readRow(library, file, embedding, id);
        const isSecond = at >= (seconds[prompt] ?? ids.length);
        rows.set(isSecond ? row.map((value, column) => value + (change[column] as number)) : row, at * columns);
      });
      return { ids, rows };
    });
  } finally {
    closeSync(file);
    closeSync(own);
  }
}

function readRow(
  library: LlamaLibrary,
  file: number,
  { offset, type, columns }: StoredRows,
  row: number,
): Float32Array {
  const bytes = rowBytes(type, columns);
  return decode(library, type, readExactly(file, offset + row * bytes, bytes), columns);
}
