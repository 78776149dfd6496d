import { afterAll, describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { analyze } from "../../src/analyze/analyze.ts";
import type { Backend } from "../../src/kernels/backend.ts";
import { blockEngine, type MemoryTensor, memoryModel } from "../analyze/model-in-memory.ts";
import { testBench } from "../bench.ts";
import { encodeFloats } from "../fixtures/weights.ts";
import { fill, gaussian, heavyTailed, structured } from "./matrices.ts";
import { openedBackends } from "./opened-backends.ts";

const tensor = (
  name: string,
  shape: readonly number[],
  type: "F32" | "F16" | "BF16",
  weights: Float32Array,
): MemoryTensor => ({ name, shape, type, data: encodeFloats(type, weights) });

const TENSORS: readonly MemoryTensor[] = [
  tensor("token_embd.weight", [96, 300], "F16", heavyTailed(300, 96).data),
  tensor("blk.0.attn_q.weight", [256, 64], "BF16", gaussian(64, 256).data),
  tensor("blk.0.attn_output.weight", [256, 70], "F32", gaussian(70, 256, 6).data.map(Math.abs)),
  tensor("blk.0.ffn_down.weight", [64, 300], "F16", structured(300, 64).data),
  tensor("blk.1.ffn_up_exps.weight", [64, 40, 5], "BF16", heavyTailed(200, 64, 11).data),
  tensor("blk.1.ffn_down_exps.weight", [96, 33, 4], "F16", withDeadExpert()),
  tensor("blk.1.ffn_gate.weight", [64, 66], "F16", fill(66, 64, () => -0.25).data),
  tensor("blk.1.ffn_down.weight", [64, 66], "F32", new Float32Array(64 * 66)),
];

/** Experts that no token reaches stay at zero in some models. */
function withDeadExpert(): Float32Array {
  const { data } = gaussian(132, 96, 12);
  return data.fill(0, 33 * 96, 66 * 96);
}

const run = (backend: Backend): Promise<Analysis> =>
  analyze(
    memoryModel(TENSORS),
    { exactMetrics: true },
    testBench(blockEngine(), { backend: async () => backend, seed: 1, threads: 2 }),
  );

/** Every number of the metrics by its path, and every reason why one is absent. */
function valuesOf({ tensors }: Analysis): Map<string, unknown> {
  const values = new Map<string, unknown>();
  const visit = (path: string, value: unknown) => {
    if (typeof value !== "object" || value === null) values.set(path, value);
    else for (const [key, inner] of Object.entries(value)) visit(`${path}.${key}`, inner);
  };
  for (const { name, metrics, omitted } of tensors) visit(name, { metrics, omitted });
  return values;
}

const opened = await openedBackends();
const [reference, ...others] = opened;
const expected = valuesOf(await run(reference?.backend as Backend));
afterAll(() => Promise.all(opened.map(({ backend }) => backend?.close())));

it("has metrics of every tensor that is not zero", () => {
  for (const { name } of TENSORS) {
    expect(expected.has(`${name}.metrics.osqe.b4`)).toBe(name !== "blk.1.ffn_down.weight");
  }
  expect(expected.get("blk.1.ffn_down.weight.omitted.osqe")).toBe("all sampled weights are 0");
});

describe.each(others)("an analysis by backend $name", ({ backend, tolerances, problem }) => {
  it("has the metrics of the reference: every source type, experts, constant and zero tensors", async ({ skip }) => {
    if (backend === undefined) return skip(problem);
    const found = valuesOf(await run(backend));
    expect([...found.keys()]).toEqual([...expected.keys()]);
    for (const [path, value] of expected) {
      const other = found.get(path);
      if (typeof value !== "number") expect(other, path).toBe(value);
      else {
        const relative = path.includes("boundaryDensity") ? 5 * tolerances.boundary : tolerances.metric;
        // Differences of values near 1, some of the metrics, keep the absolute error of those.
        expect(Math.abs((other as number) - value), path).toBeLessThanOrEqual(
          relative * Math.max(Math.abs(value), 0.1),
        );
      }
    }
  });
});
