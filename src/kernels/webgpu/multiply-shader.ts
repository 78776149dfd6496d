/** WGSL: C = op(A)·op(B), tiles of 16 × 16 in workgroup memory. */
import type { Shader } from "./gpu-device.ts";

/** Rows and columns of C that a workgroup computes. */
export const TILE = 16;

/**
 * shape: rows of C, columns of C, length of the sums, then stride of A and of B, and whether each is transposed. Sums have
 * two levels, one for a tile and one for all tiles, so that rounding grows with the tiles and not with the products.
 */
export const MULTIPLY: Shader = {
  name: "multiply",
  code: /* wgsl */ `
struct Shape { rows: u32, columns: u32, depth: u32, strideA: u32, strideB: u32, transposeA: u32, transposeB: u32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;
var<workgroup> tileA: array<array<f32, 17>, 16>;
var<workgroup> tileB: array<array<f32, 17>, 16>;

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let firstRow = group.y * 16u;
  let firstColumn = group.x * 16u;
  var total = 0.0;
  for (var start = 0u; start < shape.depth; start += 16u) {
    // Neighbouring invocations read neighbouring numbers of either matrix, transposed or not.
    if (shape.transposeA == 0u) {
      let row = firstRow + local.y;
      let k = start + local.x;
      var value = 0.0;
      if (row < shape.rows && k < shape.depth) { value = a[row * shape.strideA + k]; }
      tileA[local.y][local.x] = value;
    } else {
      let row = firstRow + local.x;
      let k = start + local.y;
      var value = 0.0;
      if (row < shape.rows && k < shape.depth) { value = a[k * shape.strideA + row]; }
      tileA[local.x][local.y] = value;
    }
    if (shape.transposeB == 0u) {
      let column = firstColumn + local.x;
      let k = start + local.y;
      var value = 0.0;
      if (column < shape.columns && k < shape.depth) { value = b[k * shape.strideB + column]; }
      tileB[local.y][local.x] = value;
    } else {
      let column = firstColumn + local.y;
      let k = start + local.x;
      var value = 0.0;
      if (column < shape.columns && k < shape.depth) { value = b[column * shape.strideB + k]; }
      tileB[local.x][local.y] = value;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var k = 0u; k < 16u; k++) { sum += tileA[local.y][k] * tileB[k][local.x]; }
    total += sum;
    workgroupBarrier();
  }
  let row = firstRow + local.y;
  let column = firstColumn + local.x;
  if (row < shape.rows && column < shape.columns) { c[row * shape.columns + column] = total; }
}
`,
};
