/** Weights that llama-quantize fails on: presets of its own end there, what is made here keeps them. */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { type TensorType, tensorBytes } from "../../src/ggml/tensor-types.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { type NewTensor, writeGguf } from "../../src/gguf/writer.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { renderRecipeSh } from "../../src/plan/recipe-sh.ts";
import { recostPlan } from "../../src/plan/recost.ts";
import { inspect } from "../../src/preflight/inspect.ts";
import { planSpec, presetSpec, uniformSpec } from "../../src/quantize/plan-spec.ts";
import { type QuantizeSpec, quantize } from "../../src/quantize/quantize.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { testBench } from "../bench.ts";
import { rewrittenLayers } from "../fixtures/rewritten-layers.ts";
import { madeUpAnalysis } from "./made-up-analysis.ts";

const FAILING: readonly (readonly [what: string, type: TensorType, shape: readonly number[], ending: RegExp])[] = [
  ["four dimensions", "F16", [256, 4, 2, 3], /GGML_ASSERT/],
  ["four dimensions in F32 with rows of 3", "F32", [3, 3, 16, 8], /GGML_ASSERT/],
  ["I32", "I32", [256, 8], /cannot dequantize\/convert tensor type i32/],
  ["I8", "I8", [256, 8], /cannot dequantize\/convert tensor type i8/],
  ["I16", "I16", [256, 8], /cannot dequantize\/convert tensor type i16/],
  ["I64", "I64", [256, 8], /cannot dequantize\/convert tensor type i64/],
  ["F64", "F64", [256, 8], /cannot dequantize\/convert tensor type f64/],
];
const NAME = "blk.1.x_attn_v.weight";

let engine: Engine;
let dir: string;
beforeAll(async () => {
  engine = await openEmbeddedEngine({ threads: 2 });
  dir = await mkdtemp(join(tmpdir(), "prism-kept-"));
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

/** A model with one more weight, of which the first byte is 7. */
async function writeWith(type: TensorType, shape: readonly number[]): Promise<string> {
  const { keyValues, tensors } = rewrittenLayers("nanbeige");
  const data = new Uint8Array(tensorBytes(type, shape));
  data[0] = 7;
  const more: NewTensor = { name: NAME, shape, type, data };
  const path = join(dir, `${type}.gguf`);
  await writeGguf(path, { keyValues, tensors: [...tensors, more] });
  return path;
}

async function make(source: string, spec: QuantizeSpec) {
  const model = await openLocalModel(source);
  await quantize(model, spec, { force: true }, testBench(engine, { threads: 2 })).finally(() => model.close());
  expect((await stat(spec.output)).size).toBe(spec.expectedBytes);
  const made = await openLocalModel(spec.output);
  const kept = made.model.tensors.find(({ name }) => name === NAME);
  const [first] = kept === undefined ? [] : await made.read(kept, 0, 1);
  await made.close();
  return { type: kept?.type, shape: kept?.shape, first };
}

describe("a weight that llama-quantize fails on", () => {
  it.each(FAILING)("%s: it fails, and what is made here keeps it", async (_what, type, shape, ending) => {
    const source = await writeWith(type, shape);
    const output = join(dir, "out.gguf");
    const job = { source, output, fileType: "Q4_K_M" as const, overrides: [], threads: 1 };
    await expect(engine.quantize(job)).rejects.toThrow(ending);

    const analysis = await madeUpAnalysis(source);
    const sensitivity = uniformSensitivity(analysis);
    const plan = makePlan({ analysis, sensitivity, budget: { kind: "like", fileType: "Q4_K_M" } });
    const kept = { type, shape, first: 7 };
    expect(await make(source, planSpec(plan, output))).toEqual(kept);
    expect(await make(source, presetSpec(plan, "Q4_K_M", output))).toEqual(kept);
    expect(await make(source, uniformSpec(plan, "Q6_K", output))).toEqual(kept);
    expect(renderRecipeSh(plan)).toContain(`--tensor-type '^blk\\.1\\.x_attn_v\\.weight$=${type.toLowerCase()}'`);
    const edited = plan.tensors.map((tensor) => (tensor.name === NAME ? { ...tensor, type: "Q8_0" as const } : tensor));
    expect(() => recostPlan({ ...plan, tensors: edited })).toThrow(/it stays .*can't convert/);
  });

  it.each(FAILING)("%s: no preset is priced, and a finding names it", async (_what, type, shape) => {
    const model = await openLocalModel(await writeWith(type, shape));
    await model.close();
    const { presets, findings } = inspect(model.model);
    expect(presets).toEqual([]);
    const finding = findings.find(({ code }) => code === "weights-unconvertible");
    expect(finding).toMatchObject({ severity: "error" });
    expect(finding?.message).toContain(`${NAME} (${type}, ${shape.join(" x ")})`);
  });

  it("is none where every preset gives it the type it has", async () => {
    const source = await writeWith("F16", [3, 3, 16, 8]);
    const job = { source, output: join(dir, "out.gguf"), overrides: [], threads: 1 };
    for (const fileType of ["Q4_K_M", "Q8_0", "IQ4_XS"] as const) await engine.quantize({ ...job, fileType });
    const model = await openLocalModel(source);
    await model.close();
    const { presets, findings } = inspect(model.model);
    expect(presets.length).toBeGreaterThan(5);
    expect(findings.map(({ code }) => code)).not.toContain("weights-unconvertible");
  });
});
