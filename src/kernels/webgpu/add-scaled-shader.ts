/** WGSL: C = A + factor·B. */
import type { Shader } from "./gpu-device.ts";

export const ADD_SCALED: Shader = {
  name: "add-scaled",
  code: /* wgsl */ `
struct Shape { count: u32, factor: f32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<uniform> shape: Shape;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let index = (group.y * groups.x + group.x) * 64u + local.x;
  if (index < shape.count) { c[index] = a[index] + shape.factor * b[index]; }
}
`,
};
