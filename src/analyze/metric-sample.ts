/**
 * The rows the metrics are computed on, decoded to f32: about 256 rows of a plain tensor, as many of each of a few
 * experts of a 3-D one, or everything in bounded pieces.
 */
import type { RowRange, TensorInfo } from "../gguf/model.ts";
import type { Backend, Matrix } from "../kernels/backend.ts";
import { decodeRows, isDecodable } from "../kernels/decode.ts";
import type { SampledMatrix } from "./metrics.ts";
import type { RowReader } from "./row-reader.ts";
import {
  type Band,
  type BandOrder,
  bandAt,
  EXACT_EXPERTS,
  longestStratum,
  METRIC_EXPERTS,
  METRIC_PAIRS,
  metricMatrices,
  orderBands,
  rowLayout,
  SAMPLING_DESIGN,
  takePairs,
} from "./sampling.ts";

/** Decoded bytes of the largest piece of a tensor that is in memory at once. */
export const PIECE_BYTES = 64 << 20;

/** Yield the sample of a tensor, one matrix for each expert looked at. Its rows stay with the reader. */
export async function* sampleMatrices(
  reader: RowReader,
  order: BandOrder,
  seed: number,
  backend: Backend,
): AsyncGenerator<Matrix> {
  if (order.layout.matrices === 1) {
    const bands = takePairs(order, 0, METRIC_PAIRS).map((band) => bandAt(order, band));
    yield decode(backend, reader, await reader.read(bands, () => true));
    return;
  }
  const { matrixRows } = order.layout;
  for (const matrix of metricMatrices(order.layout, METRIC_EXPERTS)) {
    const own = orderBands({ matrices: 1, matrixRows }, `${reader.tensor.name} ${matrix}`, seed, SAMPLING_DESIGN);
    const bands = takePairs(own, 0, METRIC_PAIRS).map((band) => shifted(bandAt(own, band), matrix, matrixRows));
    yield decode(backend, reader, await reader.read(bands));
  }
}

/**
 * Yield all of a tensor: each expert whole, or, where it is larger than 64 MiB in f32, in pieces of rows. Spectra are asked
 * of 32 experts at even distances. The rows stay with the reader where that is no more than a piece, else the bands that
 * the distortion begins with. Of `rows`, which begin and end where pieces do, only those.
 */
export async function* wholeMatrices(
  reader: RowReader,
  order: BandOrder,
  backend: Backend,
  rows?: RowRange,
): AsyncGenerator<SampledMatrix> {
  const { matrixRows } = order.layout;
  const isSmall = reader.tensor.elements * Float32Array.BYTES_PER_ELEMENT <= PIECE_BYTES;
  const wanted = takePairs(order, 0, isSmall ? longestStratum(order) : METRIC_PAIRS).map((band) => bandAt(order, band));
  const isWanted = (band: Band) => wantedBands.has(band);
  const wantedBands = new Set(wanted);
  const spectral = new Set(metricMatrices(order.layout, EXACT_EXPERTS));
  for (const { from, to } of wholePieces(reader.tensor)) {
    if (rows !== undefined && (from < rows.from || to > rows.to)) continue;
    const matrix = Math.floor(from / matrixRows);
    const bands = cutAround(wanted, { matrix, firstRow: from, rows: to - from });
    const decoded = await decode(backend, reader, await reader.read(bands, isWanted));
    yield { ...decoded, spectral: spectral.has(matrix) };
  }
}

/** The rows of each piece that all of a tensor is read in: a matrix, or 64 MiB of it in f32. */
export function wholePieces({ shape }: Pick<TensorInfo, "shape">): RowRange[] {
  const { matrices, matrixRows } = rowLayout(shape);
  const pieces = Math.ceil((matrixRows * (shape[0] ?? 1) * Float32Array.BYTES_PER_ELEMENT) / PIECE_BYTES);
  const ends = Array.from({ length: pieces }, (_, piece) => Math.floor(((piece + 1) * matrixRows) / pieces));
  return Array.from({ length: matrices }, (_, matrix) => matrix * matrixRows).flatMap((start) =>
    ends.map((end, piece) => ({ from: start + (ends[piece - 1] ?? 0), to: start + end })),
  );
}

/** The rows of a piece as bands: those of `wanted` that lie in it, and what is between them. */
function cutAround(wanted: readonly Band[], { matrix, firstRow, rows }: Band): Band[] {
  const bands: Band[] = [];
  const end = firstRow + rows;
  let next = firstRow;
  const passTo = (row: number) => {
    if (row > next) bands.push({ matrix, firstRow: next, rows: row - next });
    next = row;
  };
  for (const band of wanted) {
    if (band.firstRow < next || band.firstRow + band.rows > end) continue;
    passTo(band.firstRow);
    bands.push(band);
    next = band.firstRow + band.rows;
  }
  passTo(end);
  return bands;
}

/** The same matrices, each read while the one before it is worked on; the first is there when this returns. */
export async function aheadOf(matrices: AsyncGenerator<SampledMatrix>): Promise<AsyncIterable<SampledMatrix>> {
  const first = await matrices.next();
  return (async function* () {
    let next: IteratorResult<SampledMatrix> = first;
    while (!next.done) {
      const following = matrices.next();
      // what goes wrong is thrown when its turn comes
      following.catch(() => undefined);
      yield next.value;
      next = await following;
    }
  })();
}

function shifted(band: Band, matrix: number, matrixRows: number): Band {
  return { matrix, firstRow: matrix * matrixRows + band.firstRow, rows: band.rows };
}

async function decode(backend: Backend, { tensor }: RowReader, bytes: Uint8Array): Promise<Matrix> {
  if (!isDecodable(tensor.type)) throw new RangeError(`${tensor.type} weights can't be decoded here`);
  const data = (await backend.decode?.(tensor.type, bytes)) ?? decodeRows(tensor.type, bytes);
  const columns = tensor.shape[0] ?? 1;
  return { data, rows: data.length / columns, columns, stored: { type: tensor.type, bytes } };
}
