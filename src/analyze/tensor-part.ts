/**
 * Some rows of a tensor, measured whole where it is too large for one machine: the sums of every piece and of every band are
 * kept apart, so that joined in the order of the tensor they make the measurement of one machine, to the bit.
 */
import { Type } from "@sinclair/typebox";
import type { Content } from "../documents/fields.ts";
import * as t from "../documents/fields.ts";
import { TENSOR_TYPE_NAMES, type TensorType } from "../ggml/tensor-types.ts";
import type { RowRange, TensorInfo } from "../gguf/model.ts";
import { isDecodable } from "../kernels/decode.ts";
import { ALPHA_HILL, IMBALANCE, SPECTRAL_DOMINANCE } from "./analysis.ts";
import { checkFinite, createBandSums, measureBands } from "./band-sums.ts";
import { typesMeasured, wholeDistortion } from "./distortion.ts";
import { aheadOf, wholeMatrices, wholePieces } from "./metric-sample.ts";
import { type MetricPiece, measurePieces, metricsOfPieces } from "./metrics.ts";
import { createRowReader } from "./row-reader.ts";
import { type BandOrder, bandAt, longestStratum, orderBands, rowLayout, takeBands } from "./sampling.ts";
import {
  describeMeasured,
  distortionSource,
  type MeasurementOptions,
  type TensorMeasurement,
  typesOf,
  wholeDesign,
  withoutMetrics,
} from "./tensor-measurement.ts";

const METRIC_PIECE = t.object({
  alpha: Type.Union([ALPHA_HILL, t.text()]),
  sigmaMax: t.optional(t.amount()),
  dominance: t.optional(SPECTRAL_DOMINANCE),
  imbalance: t.optional(IMBALANCE),
  osqe: t.object({
    power: t.amount(),
    error: t.object({ 2: t.amount(), 3: t.amount(), 4: t.amount(), 6: t.amount() }),
    boundary: t.object({ near: t.amount(), expected: t.amount() }),
  }),
  nonFinite: t.count(),
});

export const TENSOR_PART = t.object({
  pieces: t.optional(
    t.list(METRIC_PIECE, "In the order of the rows; absent where the source's type can't be decoded."),
  ),
  power: t.list(t.amount(), "Of each band whose first row is among the rows."),
  error: t.table(
    t.list(Type.Union([t.amount(), Type.Null()])),
    "Of each band; null where it overflowed.",
    TENSOR_TYPE_NAMES,
  ),
  bytesRead: t.bytes(),
});
export type TensorPart = Content<typeof TENSOR_PART>;

/** Cut a tensor into rows of so many bytes at most, or of one piece. */
export function cutRows(tensor: Pick<TensorInfo, "shape" | "bytes">, mostBytes: number): RowRange[] {
  const rowBytes = tensor.bytes / rowsIn(tensor.shape);
  const cuts: { from: number; to: number }[] = [];
  for (const { from, to } of wholePieces(tensor)) {
    const last = cuts.at(-1);
    if (last !== undefined && (to - last.from) * rowBytes <= mostBytes) last.to = to;
    else cuts.push({ from, to });
  }
  return cuts;
}

/** Measure rows that cutRows() cut. Throws FormatError where weights are not finite. */
export async function measurePart(
  tensor: TensorInfo,
  rows: RowRange,
  options: MeasurementOptions,
): Promise<TensorPart> {
  const { file, backend, queue, seed } = options;
  const reader = createRowReader(file, tensor);
  let pieces: MetricPiece[] | undefined;
  if (isDecodable(tensor.type)) {
    const order = orderBands(rowLayout(tensor.shape), tensor.name, seed);
    const matrices = await aheadOf(wholeMatrices(reader, order, backend, rows));
    pieces = await queue.run(() => measurePieces(backend, matrices, { exact: true }));
    const nonFinite = pieces.reduce((sum, piece) => sum + piece.nonFinite, 0);
    checkFinite(file.model.path, tensor.name, nonFinite, reader.rowsRead() * (tensor.shape[0] ?? 1));
  }
  const source = distortionSource(tensor, reader, wholeDesign(tensor), options);
  const types = typesMeasured({ sourceType: tensor.type, types: source.types });
  const bands = bandsIn(source.order, rows);
  const sums = createBandSums(source.order);
  await measureBands(source, types, bands, sums);
  const { power, error } = sums.of(bands, types);
  return {
    ...(pieces && { pieces }),
    power,
    error: Object.fromEntries(types.map((type) => [type, (error[type] ?? []).map(finiteOrNull)])),
    bytesRead: reader.bytesRead(),
  };
}

/** Parts of a tensor, in its order and without gaps, as one measurement. Throws RangeError where they are not that. */
export function joinParts(
  tensor: TensorInfo,
  parts: readonly (RowRange & { readonly part: TensorPart })[],
  options: Pick<MeasurementOptions, "imatrix" | "types" | "seed">,
): TensorMeasurement {
  const types = typesOf(tensor, options);
  const measured = typesMeasured({ sourceType: tensor.type, types });
  const order = orderBands(rowLayout(tensor.shape), tensor.name, options.seed, wholeDesign(tensor));
  const sums = createBandSums(order);
  const rows = rowsIn(tensor.shape);
  let next = 0;
  for (const { from, to, part } of parts) {
    if (from !== next) throw new RangeError(`${tensor.name}: a part begins at row ${from}, expected ${next}`);
    const bands = bandsIn(order, { from, to });
    const lists = [part.power, ...measured.map((type) => part.error[type] ?? [])];
    if (lists.some(({ length }) => length !== bands.length)) {
      throw new RangeError(
        `${tensor.name}: rows ${from} to ${to - 1} have ${bands.length} bands, their part has others`,
      );
    }
    sums.add(bands, { power: part.power, error: withOverflows(part.error) });
    next = to;
  }
  if (next !== rows) throw new RangeError(`${tensor.name}: its parts end at row ${next}, expected ${rows}`);
  const pieces = parts.flatMap(({ part }) => part.pieces ?? []) as MetricPiece[];
  return describeMeasured(
    tensor,
    {
      metrics: isDecodable(tensor.type) ? metricsOfPieces(pieces) : withoutMetrics(tensor.type),
      distortion: wholeDistortion({ sourceType: tensor.type, types, order }, sums),
      bytesRead: parts.reduce((sum, { part }) => sum + part.bytesRead, 0),
      rowsRead: rows,
    },
    options,
  );
}

/** The bands whose first rows are among these. */
function bandsIn(order: BandOrder, { from, to }: RowRange): number[] {
  return takeBands(order, 0, longestStratum(order)).filter((band) => {
    const { firstRow } = bandAt(order, band);
    return from <= firstRow && firstRow < to;
  });
}

function rowsIn(shape: readonly number[]): number {
  const { matrices, matrixRows } = rowLayout(shape);
  return matrices * matrixRows;
}

/** JSON has no infinity. */
const finiteOrNull = (value: number) => (Number.isFinite(value) ? value : null);

function withOverflows(error: TensorPart["error"]): Partial<Record<TensorType, number[]>> {
  return Object.fromEntries(
    Object.entries(error).map(([type, errors]) => [type, errors?.map((one) => one ?? Number.POSITIVE_INFINITY)]),
  );
}
