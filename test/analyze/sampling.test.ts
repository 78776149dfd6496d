import { describe, expect, test } from "vitest";
import {
  bandAt,
  longestStratum,
  METRIC_EXPERTS,
  METRIC_PAIRS,
  metricMatrices,
  orderBands,
  rowLayout,
  SAMPLING_DESIGN,
  takeBands,
  takePairs,
} from "../../src/analyze/sampling.ts";

const SHAPES: readonly (readonly number[])[] = [
  [256, 1],
  [256, 7],
  [256, 128],
  [256, 4096],
  [64, 1000],
  [64, 20, 9],
  [64, 500, 16],
  [64, 3, 2],
];

describe.each(SHAPES.map((shape) => [shape.join("×"), shape] as const))("%s", (_, shape) => {
  const layout = rowLayout(shape);
  const order = orderBands(layout, "blk.0.x.weight", 1);
  const rows = layout.matrices * layout.matrixRows;

  test("all bands together are all rows, once, and none crosses a matrix", () => {
    const bands = takeBands(order, 0, longestStratum(order)).map((band) => bandAt(order, band));
    let next = 0;
    for (const band of bands) {
      expect(band.firstRow).toBe(next);
      expect(Math.floor((next + band.rows - 1) / layout.matrixRows)).toBe(band.matrix);
      next += band.rows;
    }
    expect(next).toBe(rows);
  });

  test("a larger sample holds the smaller one", () => {
    const small = takeBands(order, 0, 4);
    const large = new Set(takeBands(order, 0, 8));
    expect(small.every((band) => large.has(band))).toBe(true);
    expect(large.size).toBe(small.length + takeBands(order, 4, 8).length);
  });
});

test("a large tensor is first sampled by 16 bands, and by 256 rows for the metrics", () => {
  const order = orderBands(rowLayout([64, 151936]), "token_embd.weight", 1);
  expect(takeBands(order, 0, SAMPLING_DESIGN.firstBands)).toHaveLength(16);
  const rows = takePairs(order, 0, METRIC_PAIRS).reduce((sum, band) => sum + bandAt(order, band).rows, 0);
  expect(rows).toBe(256);
});

test("the metrics' rows hold the first bands and are read in twos", () => {
  const order = orderBands(rowLayout([64, 4100]), "blk.0.ffn_up.weight", 1);
  const pairs = takePairs(order, 0, METRIC_PAIRS);
  expect(takeBands(order, 0, METRIC_PAIRS).every((band) => pairs.includes(band))).toBe(true);
  expect(pairs.filter((band) => band % 2 === 0).every((band) => pairs.includes(band + 1))).toBe(true);
});

test("every quarter of a tensor has its share of the sample", () => {
  const order = orderBands(rowLayout([64, 4096]), "output.weight", 3);
  const quarters = [0, 0, 0, 0];
  for (const band of takeBands(order, 0, 4)) {
    const quarter = Math.floor(bandAt(order, band).firstRow / 1024);
    quarters[quarter] = (quarters[quarter] ?? 0) + 1;
  }
  expect(quarters).toEqual([4, 4, 4, 4]);
});

test("the first bands of an expert tensor come from many experts", () => {
  const order = orderBands(rowLayout([64, 1536, 128]), "blk.0.ffn_up_exps.weight", 1);
  const experts = new Set(takeBands(order, 0, 4).map((band) => bandAt(order, band).matrix));
  expect(experts.size).toBeGreaterThanOrEqual(12);
});

test("the sample depends on the name and the seed, and on nothing else", () => {
  const sample = (name: string, seed: number) => takeBands(orderBands(rowLayout([64, 4096]), name, seed), 0, 4);
  expect(sample("a", 1)).toEqual(sample("a", 1));
  expect(sample("a", 1)).not.toEqual(sample("b", 1));
  expect(sample("a", 1)).not.toEqual(sample("a", 2));
});

test("metrics look at experts at even distances, at every one where there are few", () => {
  expect(metricMatrices({ matrices: 3, matrixRows: 10 }, METRIC_EXPERTS)).toEqual([0, 1, 2]);
  const chosen = metricMatrices({ matrices: 128, matrixRows: 10 }, METRIC_EXPERTS);
  expect(chosen).toHaveLength(METRIC_EXPERTS);
  expect(new Set(chosen.map((matrix) => Math.floor(matrix / 16))).size).toBe(METRIC_EXPERTS);
});
