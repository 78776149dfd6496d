import type { Products } from "../device/products.ts";
import { ADD_SCALED } from "./add-scaled-shader.ts";
import type { GpuDevice } from "./gpu-device.ts";
import { MULTIPLY, TILE } from "./multiply-shader.ts";

/** A row-major matrix of 32-bit numbers on the GPU. */
export interface GpuDense {
  readonly buffer: GPUBuffer;
  readonly rows: number;
  readonly columns: number;
}

/** Products as WGSL kernels. */
export function gpuProducts(device: GpuDevice): Products<GpuDense> {
  const create = (rows: number, columns: number): GpuDense => ({
    buffer: device.createBuffer(bytesOf({ rows, columns })),
    rows,
    columns,
  });
  return {
    upload(data, rows, columns) {
      const dense = create(rows, columns);
      device.write(dense.buffer, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      return dense;
    },
    multiply(a, b, transposeA, transposeB) {
      const [rows, depth] = transposeA ? [a.columns, a.rows] : [a.rows, a.columns];
      const columns = transposeB ? b.rows : b.columns;
      const result = create(rows, columns);
      const shape = [rows, columns, depth, a.columns, b.columns, Number(transposeA), Number(transposeB)];
      const buffers = [a.buffer, b.buffer, result.buffer];
      device.dispatch(MULTIPLY, buffers, shape, Math.ceil(columns / TILE), Math.ceil(rows / TILE));
      return result;
    },
    addScaled(a, b, factor) {
      const result = create(a.rows, a.columns);
      const count = a.rows * a.columns;
      const buffers = [a.buffer, b.buffer, result.buffer];
      device.dispatchMany(ADD_SCALED, buffers, [count, { f32: factor }], Math.ceil(count / 64));
      return result;
    },
    stack(parts) {
      const rows = parts.reduce((sum, part) => sum + part.rows, 0);
      const result = create(rows, parts[0]?.columns ?? 0);
      const sources = parts.map((part) => ({ buffer: part.buffer, bytes: bytesOf(part) }));
      device.concatenate(result.buffer, sources);
      return result;
    },
    read: async (dense) => new Float32Array(await device.read(dense.buffer, bytesOf(dense))),
    release(...matrices) {
      for (const { buffer } of matrices) buffer.destroy();
    },
  };
}

function bytesOf({ rows, columns }: Pick<GpuDense, "rows" | "columns">): number {
  return rows * columns * Float32Array.BYTES_PER_ELEMENT;
}
