/**
 * WGSL: stored weights (f32, f16 or bf16 in 32-bit words) → their largest magnitude, then f32 scaled by a power of two.
 * Halves are taken apart as integers: a device may flush subnormal ones, and leaves NaN undefined.
 */
import type { DecodableType } from "../decode.ts";
import type { Shader } from "./gpu-device.ts";

/** How the shaders name the stored types. */
export const STORED_TYPE: Readonly<Record<DecodableType, number>> = { F32: 0, F16: 1, BF16: 2 };

const DECODE = /* wgsl */ `
struct Shape { count: u32, storedType: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: RESULT;
@group(0) @binding(2) var<uniform> shape: Shape;

// The bits of weight index as f32.
fn bitsOf(index: u32) -> u32 {
  if (shape.storedType == 0u) { return words[index]; }
  let half = (words[index / 2u] >> (16u * (index & 1u))) & 0xffffu;
  if (shape.storedType == 2u) { return half << 16u; }
  let sign = (half & 0x8000u) << 16u;
  let exponent = (half >> 10u) & 0x1fu;
  let fraction = half & 0x3ffu;
  if (exponent == 31u) { return sign | 0x7f800000u | (fraction << 13u); }
  if (exponent != 0u) { return sign | ((exponent + 112u) << 23u) | (fraction << 13u); }
  return sign | bitcast<u32>(f32(fraction) * 0x1p-24f);
}
`;

/** result: bits of the largest finite magnitude, and the weights that are NaN or infinite. */
export const SURVEY: Shader = {
  name: "survey",
  code: /* wgsl */ `
${DECODE.replace("RESULT", "array<atomic<u32>, 2>")}
var<workgroup> largest: atomic<u32>;
var<workgroup> nonFinite: atomic<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = (group.y * groups.x + group.x) * 1024u;
  var magnitude = 0u;
  var odd = 0u;
  for (var index = first + local; index < min(first + 1024u, shape.count); index += 64u) {
    let bits = bitsOf(index) & 0x7fffffffu;
    if (bits >= 0x7f800000u) { odd++; } else { magnitude = max(magnitude, bits); }
  }
  atomicMax(&largest, magnitude);
  atomicAdd(&nonFinite, odd);
  workgroupBarrier();
  if (local == 0u) {
    atomicMax(&result[0], atomicLoad(&largest));
    atomicAdd(&result[1], atomicLoad(&nonFinite));
  }
}
`,
};

/** Weights of a workgroup of SURVEY. */
export const SURVEY_WEIGHTS = 1024;

/** result: the weights times `scale`, 0 for those that are NaN or infinite. */
export const UNPACK: Shader = {
  name: "unpack",
  code: /* wgsl */ `
${DECODE.replace("RESULT", "array<f32>")}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let index = (group.y * groups.x + group.x) * 64u + local;
  if (index >= shape.count) { return; }
  let bits = bitsOf(index);
  result[index] = select(bitcast<f32>(bits) * shape.scale, 0.0, (bits & 0x7f800000u) == 0x7f800000u);
}
`,
};
