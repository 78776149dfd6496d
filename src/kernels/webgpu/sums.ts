/** Moments and quantization errors of uploaded weights: tiles on the GPU in 32 bits, their sums here in 64. */
import { BOUNDARY_DELTA, type Moments, OSQE_BLOCK, type OsqeSums } from "../backend.ts";
import type { GpuDevice } from "./gpu-device.ts";
import { MOMENTS, MOMENTS_COLUMNS, MOMENTS_ROWS, MOMENTS_SCALE } from "./moments-shader.ts";
import { OSQE, OSQE_GROUP, OSQE_SCALE, OSQE_SUMS } from "./osqe-shader.ts";
import type { GpuDense } from "./products.ts";
import type { UploadedWeights } from "./uploaded-weights.ts";

/** Σ w² of the rows and columns. */
export async function gpuMoments(
  device: GpuDevice,
  { pieces, scale, nonFinite }: UploadedWeights,
  rows: number,
  columns: number,
): Promise<Moments> {
  const rowPower = new Float64Array(rows);
  const columnPower = new Float64Array(columns);
  const unit = 1 / (scale * MOMENTS_SCALE) ** 2;
  let firstRow = 0;
  for (const piece of pieces) {
    const parts = await pieceMoments(device, piece);
    addParts(rowPower.subarray(firstRow, firstRow + piece.rows), parts.rowPower, unit);
    addParts(columnPower, parts.columnPower, unit);
    firstRow += piece.rows;
  }
  return { rowPower, columnPower, nonFinite };
}

async function pieceMoments(device: GpuDevice, { buffer, rows, columns }: GpuDense) {
  const x = Math.ceil(columns / MOMENTS_COLUMNS);
  const y = Math.ceil(rows / MOMENTS_ROWS);
  const rowBuffer = device.createBuffer(4 * x * rows);
  const columnBuffer = device.createBuffer(4 * y * columns);
  try {
    device.dispatch(MOMENTS, [buffer, rowBuffer, columnBuffer], [rows, columns], x, y);
    const [rowPower, columnPower] = await Promise.all([
      device.read(rowBuffer, 4 * x * rows),
      device.read(columnBuffer, 4 * y * columns),
    ]);
    return { rowPower: new Float32Array(rowPower), columnPower: new Float32Array(columnPower) };
  } finally {
    rowBuffer.destroy();
    columnBuffer.destroy();
  }
}

/** Add consecutive parts of the total's length, times `unit`. */
function addParts(total: Float64Array, parts: Float32Array, unit: number): void {
  const { length } = total;
  for (let start = 0; start < parts.length; start += length) {
    for (let at = 0; at < length; at++) total[at] = (total[at] as number) + unit * (parts[start + at] as number);
  }
}

/** Block-32 quantization errors and boundary density sums. */
export async function gpuOsqe(device: GpuDevice, { pieces, scale }: UploadedWeights): Promise<OsqeSums> {
  const totals = new Float64Array(OSQE_SUMS);
  for (const piece of pieces) addParts(totals, await pieceOsqe(device, piece), 1);
  const [power, two, three, four, six, near, onGrid] = totals as unknown as Seven;
  const unit = 1 / (scale * OSQE_SCALE) ** 2;
  return {
    power: unit * power,
    error: { 2: unit * two, 3: unit * three, 4: unit * four, 6: unit * six },
    boundary: { near, expected: 2 * BOUNDARY_DELTA * onGrid },
  };
}

type Seven = [number, number, number, number, number, number, number];

async function pieceOsqe(device: GpuDevice, { buffer, rows, columns }: GpuDense): Promise<Float32Array> {
  const blocksPerRow = Math.ceil(columns / OSQE_BLOCK);
  const groups = Math.ceil((rows * blocksPerRow) / OSQE_GROUP);
  const bytes = 4 * OSQE_SUMS * groups;
  // The last row of a grid of workgroups may go beyond the last block.
  const sums = device.createBuffer(2 * bytes);
  try {
    device.dispatchMany(OSQE, [buffer, sums], [rows, columns, blocksPerRow], groups);
    return new Float32Array(await device.read(sums, bytes));
  } finally {
    sums.destroy();
  }
}
