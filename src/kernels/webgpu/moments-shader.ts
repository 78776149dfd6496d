/** WGSL: sums of squares of the rows and columns of tiles of 32 × 64 weights; the tiles are added up in 64 bits outside. */
import type { Shader } from "./gpu-device.ts";

export const MOMENTS_ROWS = 32;
export const MOMENTS_COLUMNS = 64;

/** Weights near 1 are scaled by this before they are squared: squares then reach from 2^-126 to 2^114. */
export const MOMENTS_SCALE = 2 ** 56;

/** rowPower: tile column × row; columnPower: tile row × column. */
export const MOMENTS: Shader = {
  name: "moments",
  code: /* wgsl */ `
struct Shape { rows: u32, columns: u32 }
@group(0) @binding(0) var<storage, read> weights: array<f32>;
@group(0) @binding(1) var<storage, read_write> rowPower: array<f32>;
@group(0) @binding(2) var<storage, read_write> columnPower: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;
var<workgroup> squares: array<array<f32, 65>, 32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let column = group.x * 64u + local;
  let firstRow = group.y * 32u;
  var sum = 0.0;
  for (var row = 0u; row < 32u; row++) {
    var square = 0.0;
    if (firstRow + row < shape.rows && column < shape.columns) {
      let weight = 0x1p56f * weights[(firstRow + row) * shape.columns + column];
      square = weight * weight;
    }
    squares[row][local] = square;
    sum += square;
  }
  if (column < shape.columns) { columnPower[group.y * shape.columns + column] = sum; }
  workgroupBarrier();
  let row = firstRow + local;
  if (local < 32u && row < shape.rows) {
    var total = 0.0;
    for (var k = 0u; k < 64u; k++) { total += squares[local][k]; }
    rowPower[group.x * shape.rows + row] = total;
  }
}
`,
};
