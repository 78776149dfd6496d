/**
 * The rows the metrics are computed on, decoded to f32: about 256 rows of a plain tensor, as many of each of a few
 * experts of a 3-D one, or everything in bounded pieces.
 */
import type { Backend, Matrix } from "../kernels/backend.ts";
import { decodeRows, isDecodable } from "../kernels/decode.ts";
import type { RowReader } from "./row-reader.ts";
import {
  type Band,
  type BandOrder,
  bandAt,
  METRIC_PAIRS,
  metricMatrices,
  orderBands,
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
    yield decode(backend, reader, await reader.read(bands, true));
    return;
  }
  const { matrixRows } = order.layout;
  for (const matrix of metricMatrices(order.layout)) {
    const own = orderBands({ matrices: 1, matrixRows }, `${reader.tensor.name} ${matrix}`, seed, SAMPLING_DESIGN);
    const bands = takePairs(own, 0, METRIC_PAIRS).map((band) => shifted(bandAt(own, band), matrix, matrixRows));
    yield decode(backend, reader, await reader.read(bands));
  }
}

/** Yield all of a tensor: each expert whole, or, where it is larger than 64 MiB in f32, in pieces of rows. */
export async function* wholeMatrices(reader: RowReader, order: BandOrder, backend: Backend): AsyncGenerator<Matrix> {
  const { matrices, matrixRows } = order.layout;
  const columns = reader.tensor.shape[0] ?? 1;
  const pieces = Math.ceil((matrixRows * columns * Float32Array.BYTES_PER_ELEMENT) / PIECE_BYTES);
  for (let matrix = 0; matrix < matrices; matrix++) {
    for (let piece = 0; piece < pieces; piece++) {
      const start = Math.floor((piece * matrixRows) / pieces);
      const rows = Math.floor(((piece + 1) * matrixRows) / pieces) - start;
      yield decode(backend, reader, await reader.read([{ matrix, firstRow: matrix * matrixRows + start, rows }]));
    }
  }
}

/** The same matrices, each read while the one before it is worked on; the first is there when this returns. */
export async function aheadOf(matrices: AsyncGenerator<Matrix>): Promise<AsyncIterable<Matrix>> {
  const first = await matrices.next();
  return (async function* () {
    let next: IteratorResult<Matrix> = first;
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
