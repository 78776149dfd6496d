import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine } from "../../src/engine/engine.ts";
import type { FileType } from "../../src/ggml/file-types.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { readImatrix } from "../../src/imatrix/imatrix.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { planSpec, presetSpec, uniformSpec } from "../../src/quantize/plan-spec.ts";
import { type QuantizeSpec, quantize } from "../../src/quantize/quantize.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { testBench } from "../bench.ts";
import { type RunnableKind, writeRunnable } from "../fixtures/runnable.ts";
import { madeUpAnalysis } from "./made-up-analysis.ts";
import { writeMadeUpImatrix } from "./made-up-imatrix.ts";

const PRESETS: readonly FileType[] = [
  "Q2_K",
  "Q3_K_S",
  "Q3_K_M",
  "Q3_K_L",
  "Q4_K_S",
  "Q4_K_M",
  "Q5_K_S",
  "Q5_K_M",
  "Q6_K",
  "IQ4_XS",
  "IQ4_NL",
];
/** For models that differ from one of the others in their file only. */
const FEW_PRESETS: readonly FileType[] = ["Q3_K_M", "IQ4_XS"];
const UNIFORM_TYPES: readonly TensorType[] = ["Q2_K", "IQ4_XS", "Q6_K"];

/** Architectures and row sizes: every preset. */
const KINDS: readonly RunnableKind[] = ["qwen3", "qwen35-mtp", "moe", "gpt2", "odd-rows"];
const VARIANTS: readonly RunnableKind[] = [
  "llama",
  "qwen3-untied",
  "reranker",
  "qwen35",
  "split",
  "align64",
  "bf16",
  "f32",
];

const bundled = fileURLToPath(new URL("../../models/books-llama-8m-f16.gguf", import.meta.url));

let engine: Engine;
let dir: string;
beforeAll(async () => {
  engine = await openEmbeddedEngine({ threads: 2 });
  dir = await mkdtemp(join(tmpdir(), "prism-bytes-"));
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

/** Bytes of the real file less the predicted ones; wrong types make quantize() throw. */
async function bytesOff(path: string, spec: QuantizeSpec): Promise<number> {
  const model = await openLocalModel(path);
  await quantize(model, spec, { force: true }, testBench(engine, { threads: 2 })).finally(() => model.close());
  return (await stat(spec.output)).size - spec.expectedBytes;
}

async function planner(path: string, imatrixPath?: string) {
  const imatrix = imatrixPath === undefined ? undefined : await readImatrix(imatrixPath);
  const analysis = await madeUpAnalysis(path, imatrix);
  const sensitivity = uniformSensitivity(analysis);
  const planLike = (fileType: FileType): Plan =>
    makePlan({ analysis, sensitivity, budget: { kind: "like", fileType } });
  return { imatrix, planLike };
}

/** The preset, and the plan at its bytes, quantized for real. */
async function checkPresets(path: string, presets: readonly FileType[], imatrixPath?: string): Promise<void> {
  const { imatrix, planLike } = await planner(path, imatrixPath);
  const output = join(dir, "out.gguf");
  for (const preset of presets) {
    const plan = planLike(preset);
    const asPreset = presetSpec(plan, preset, output, imatrix);
    expect(plan.predicted.fileBytes).toBeLessThanOrEqual(asPreset.expectedBytes);
    expect({ preset, off: await bytesOff(path, asPreset) }).toEqual({ preset, off: 0 });
    expect({ plan: preset, off: await bytesOff(path, planSpec(plan, output, imatrix)) }).toEqual({
      plan: preset,
      off: 0,
    });
  }
}

describe("predicted file bytes equal the engine's", () => {
  it("bundled model, every preset and the plan at its bytes", () => checkPresets(bundled, PRESETS));

  it.each(KINDS)("%s, every preset and the plan at its bytes", async (kind) => {
    await checkPresets(await writeRunnable(kind, dir), PRESETS);
  });

  it.each(VARIANTS)("%s, some presets and the plan at their bytes", async (kind) => {
    await checkPresets(await writeRunnable(kind, dir), FEW_PRESETS);
  });

  it.each(["moe", "odd-rows"] as const)("%s, uniform types with their fallbacks", async (kind) => {
    const path = await writeRunnable(kind, dir);
    const plan = (await planner(path)).planLike("Q4_K_M");
    for (const type of UNIFORM_TYPES) {
      expect({ type, off: await bytesOff(path, uniformSpec(plan, type, join(dir, "out.gguf"))) }).toEqual({
        type,
        off: 0,
      });
    }
  });

  it("with an imatrix: presets, those that need one, and the plan at their bytes", async () => {
    const path = await writeRunnable("moe", dir);
    const imatrix = await writeMadeUpImatrix(path, join(dir, "imatrix.gguf"), ["token_embd"]);
    await checkPresets(path, ["Q2_K_S", "Q3_K_M"], imatrix);
  });

  it("with an imatrix whose dataset llama-quantize cuts inside a character, all 127 bytes of which are written", async () => {
    const dataset = `d/${"я".repeat(80)}.txt`;
    const path = await writeRunnable("llama", dir);
    const imatrix = await writeMadeUpImatrix(path, join(dir, "long.gguf"), [], dataset);
    await checkPresets(path, ["Q3_K_M"], imatrix);
    const written = await readFile(join(dir, "out.gguf"));
    const bytes = Buffer.from(dataset).subarray(0, 127);
    const value = written.indexOf("quantize.imatrix.dataset") + "quantize.imatrix.dataset".length + 4;
    expect(written.readBigUInt64LE(value)).toBe(127n);
    expect(written.subarray(value + 8, value + 8 + 127)).toEqual(bytes);
  });
});
