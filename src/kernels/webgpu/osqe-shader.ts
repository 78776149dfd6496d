/**
 * WGSL: quantization errors of blocks of 32 and the weights near a 4-bit threshold, an invocation for each block. Where
 * the reference sweeps the thresholds in order (reference/scale-sweep.ts), which needs memory of its own for each block,
 * candidate inverse scales over the same range are tried one by one. The best one's error is summed from the
 * differences themselves: ‖w‖² − ⟨q,w⟩²/⟨q,q⟩ would lose small errors to the rounding of 32 bits.
 */
import type { Shader } from "./gpu-device.ts";

/** Blocks of a workgroup. */
export const OSQE_GROUP = 64;

/** Numbers a workgroup leaves: power, errors at 2, 3, 4 and 6 bits, near weights, weights in blocks that are not zero. */
export const OSQE_SUMS = 7;

/** Scales weights near 1 before they are squared, as in moments-shader.ts. */
export const OSQE_SCALE = 2 ** 56;

/** Sums of a workgroup follow those of the one before it. */
export const OSQE: Shader = {
  name: "osqe",
  code: /* wgsl */ `
struct Shape { rows: u32, columns: u32, blocksPerRow: u32 }
@group(0) @binding(0) var<storage, read> weights: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
@group(0) @binding(2) var<uniform> shape: Shape;

const CANDIDATES = 64u;
const LARGEST_MULTIPLIER = 1.15;
const SMALLEST_MULTIPLIER = 0.45;

// The block relative to its largest magnitude, so that levels are those of numbers in -1 … 1.
var<private> block: array<vec4f, 8>;
var<workgroup> partial: array<array<f32, 7>, 64>;

// What a candidate makes of the block: top is the highest level; at 2 bits the levels are -2 … 1, mirrored where side
// is -1, and the symmetric levels have side 0.
struct Candidate { u: f32, top: f32, side: f32, product: f32, square: f32 }

// Levels as magnitudes. What is rounded is not negative, so that halves go up as in the reference.
fn levels(values: vec4f, u: f32, top: f32, side: f32) -> vec4f {
  return min(floor(abs(values) * u + 0.5), select(vec4f(top), vec4f(2.0), values * side < vec4f(0.0)));
}

fn weightAt(row: u32, column: u32) -> f32 {
  if (column < shape.columns) { return 0x1p56f * weights[row * shape.columns + column]; }
  return 0.0;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let groupIndex = group.y * groups.x + group.x;
  let index = groupIndex * 64u + local;
  let row = index / shape.blocksPerRow;
  let firstColumn = (index % shape.blocksPerRow) * 32u;
  var largest = 0.0;
  if (row < shape.rows) {
    for (var k = 0u; k < 8u; k++) {
      let column = firstColumn + 4u * k;
      let part = vec4f(weightAt(row, column), weightAt(row, column + 1u), weightAt(row, column + 2u), weightAt(row, column + 3u));
      block[k] = part;
      let magnitudes = abs(part);
      largest = max(largest, max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w)));
    }
  }
  var own = array<f32, 7>();
  if (largest > 0.0) {
    for (var k = 0u; k < 8u; k++) {
      block[k] = block[k] / largest;
      own[0] += dot(block[k], block[k]);
    }
    // 2, 3, 4 and 6 bits.
    for (var width = 0u; width < 4u; width++) {
      let top = select(select(select(31.0, 7.0, width == 2u), 3.0, width == 1u), 1.0, width == 0u);
      let twoBit = width == 0u;
      var best = Candidate(top, top, 0.0, 0.0, 1.0);
      var first = top / LARGEST_MULTIPLIER;
      // The levels -2 … 1 meet the largest magnitude with level 1 or 2: both ranges are searched, with either sign.
      var step = (2.0 / SMALLEST_MULTIPLIER - first) / f32(CANDIDATES);
      // The candidate before the first is the plain scale; its error bounds the range of the symmetric ones.
      for (var candidate = 0u; candidate < 2u * CANDIDATES + 2u; candidate++) {
        if (!twoBit && candidate > CANDIDATES + 1u) { break; }
        var u = top;
        var side = 0.0;
        if (twoBit) {
          u = first + f32(candidate >> 1u) * step;
          side = select(1.0, -1.0, (candidate & 1u) == 1u);
        } else if (candidate > 0u) {
          u = first + f32(candidate - 1u) * step;
        }
        var product = 0.0;
        var square = 0.0;
        for (var k = 0u; k < 8u; k++) {
          let q = levels(block[k], u, top, side);
          product += dot(q, abs(block[k]));
          square += dot(q, q);
        }
        if (product * product * best.square > best.product * best.product * square) {
          best = Candidate(u, top, side, product, square);
        }
        if (!twoBit && candidate == 0u) {
          // Beyond u the largest weight alone errs by more than 1 − top/u: no use where u = top already errs less.
          let plainError = max(own[0] - product * product / square, 0.0);
          step = (top / max(1.0 - sqrt(plainError), SMALLEST_MULTIPLIER) - first) / f32(CANDIDATES);
        }
      }
      let scale = best.product / best.square;
      var error = 0.0;
      for (var k = 0u; k < 8u; k++) {
        let difference = abs(block[k]) - scale * levels(block[k], best.u, best.top, best.side);
        error += dot(difference, difference);
        if (width == 2u) {
          // Weights nearer than 0.1 scales to a threshold of the levels 0 … 7.
          let inScales = abs(block[k]) / scale;
          let below = floor(inScales);
          let near = (below < vec4f(7.0)) & (abs(inScales - below - 0.5) < vec4f(0.1));
          own[5] += dot(select(vec4f(0.0), vec4f(1.0), near), vec4f(1.0));
        }
      }
      own[1u + width] = error;
    }
    for (var k = 0u; k < 5u; k++) { own[k] = own[k] * largest * largest; }
    own[6] = f32(min(32u, shape.columns - firstColumn));
  }
  partial[local] = own;
  workgroupBarrier();
  if (local < 7u) {
    var total = 0.0;
    for (var k = 0u; k < 64u; k++) { total += partial[k][local]; }
    sums[groupIndex * 7u + local] = total;
  }
}
`,
};
