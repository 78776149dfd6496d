/**
 * Sums of squared inputs by blocks of chunks, which any machine can make: those of a block as llama-imatrix sums them, in 32
 * bits, and those of all blocks added up in 64 bits, in the order of the text. Whoever made the blocks, the bits are the same.
 */
import type { ImportanceSums } from "../engine/engine.ts";

/** Tokens that llama.cpp decodes together, as far as whole chunks go; a block has so many times that. */
const BATCH_TOKENS = 2048;
const BATCHES = 4;

/** Chunks of a block: 16 of 512 tokens. It depends on nothing else, so that blocks are the same wherever they are cut. */
export function chunksPerBlock(context: number): number {
  return BATCHES * Math.max(1, Math.floor(BATCH_TOKENS / context));
}

/** Chunks [from, to) of a text. */
export interface ChunkRange {
  readonly from: number;
  readonly to: number;
}

/** All chunks, in blocks. */
export function blocksOf(chunks: number, perBlock: number): ChunkRange[] {
  return Array.from({ length: Math.ceil(chunks / perBlock) }, (_, index) => ({
    from: index * perBlock,
    to: Math.min(chunks, (index + 1) * perBlock),
  }));
}

export interface ImportanceTotal {
  /** Add the next block. Throws where an entry has another length than before. */
  add(entries: ReadonlyMap<string, ImportanceSums>): void;
  /** Of all blocks, rounded once. */
  sums(): ReadonlyMap<string, ImportanceSums>;
}

export function createImportanceTotal(): ImportanceTotal {
  const totals = new Map<string, { readonly sums: Float64Array; readonly counts: Float64Array }>();
  return {
    add(entries) {
      for (const [name, { sums, counts }] of entries) {
        const before = totals.get(name);
        if (before === undefined) {
          totals.set(name, { sums: Float64Array.from(sums), counts: counts.slice() });
          continue;
        }
        if (before.sums.length !== sums.length || before.counts.length !== counts.length) {
          throw new Error(`${name}: blocks of ${before.sums.length} sums and of ${sums.length}`);
        }
        addTo(before.sums, sums);
        addTo(before.counts, counts);
      }
    },
    sums: () =>
      new Map([...totals].map(([name, { sums, counts }]) => [name, { sums: Float32Array.from(sums), counts }])),
  };
}

function addTo(total: Float64Array, values: ArrayLike<number>): void {
  for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (values[i] as number);
}
