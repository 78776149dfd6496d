/**
 * Exhaustive search of the scale of each block of 32: levels change only at |w|/(k − ½), so the codes on both sides of
 * every such scale in the searched range, each with its least-squares scale, include the best.
 */
import { BOUNDARY_DELTA, type Matrix } from "../../src/kernels/backend.ts";

type Bits = 2 | 3 | 4 | 6;

interface Best {
  readonly error: number;
  readonly scale: number;
}

function blocksOf({ data, rows, columns }: Matrix): number[][] {
  const blocks: number[][] = [];
  for (let row = 0; row < rows; row++) {
    for (let start = 0; start < columns; start += 32) {
      const end = Math.min(start + 32, columns);
      blocks.push(Array.from(data.subarray(row * columns + start, row * columns + end)));
    }
  }
  return blocks;
}

function bestOfBlock(block: readonly number[], bits: Bits): Best {
  const top = 2 ** (bits - 1) - 1;
  const bottom = bits === 2 ? -2 : -top;
  const largest = Math.max(...block.map(Math.abs));
  const power = block.reduce((sum, weight) => sum + weight ** 2, 0);
  if (largest === 0) return { error: 0, scale: 0 };
  const range = bits === 2 ? [(0.45 * largest) / 2, 1.15 * largest] : [(0.45 * largest) / top, (1.15 * largest) / top];
  const scales = block.flatMap((weight) =>
    Array.from({ length: -bottom }, (_, index) => Math.abs(weight) / (index + 0.5)),
  );
  const inside = [...scales.filter((scale) => scale > (range[0] ?? 0) && scale < (range[1] ?? 0)), largest / top];
  let best: Best = { error: power, scale: 0 };
  for (const threshold of inside) {
    for (const scale of [threshold * (1 - 1e-12), threshold * (1 + 1e-12)]) {
      for (const signed of bits === 2 ? [scale, -scale] : [scale]) {
        let product = 0;
        let square = 0;
        for (const weight of block) {
          const level = Math.max(bottom, Math.min(top, Math.round(weight / signed)));
          product += level * weight;
          square += level * level;
        }
        if (square === 0) continue;
        const error = Math.max(0, power - product ** 2 / square);
        if (error < best.error) best = { error, scale: product / square };
      }
    }
  }
  return best;
}

/** Σ over blocks of the least squared error. */
export function bestErrorOfBlocks(matrix: Matrix, bits: Bits): number {
  return blocksOf(matrix).reduce((sum, block) => sum + bestOfBlock(block, bits).error, 0);
}

/** Weights near a 4-bit threshold at the best scale, and how many a smooth density would have there. */
export function nearCount(matrix: Matrix): { near: number; expected: number } {
  let near = 0;
  let weights = 0;
  for (const block of blocksOf(matrix)) {
    const { scale } = bestOfBlock(block, 4);
    if (scale === 0) continue;
    weights += block.length;
    for (const weight of block) {
      const inScales = Math.abs(weight) / scale;
      const thresholds = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5];
      if (thresholds.some((threshold) => Math.abs(inScales - threshold) < BOUNDARY_DELTA)) near++;
    }
  }
  return { near, expected: 2 * BOUNDARY_DELTA * weights };
}
