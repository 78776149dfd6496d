import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import type { Bench } from "../../src/bench.ts";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { measureFeedback } from "../../src/feedback/feedback-gains.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { testBench } from "../bench.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";

const shipped = fileURLToPath(new URL("../../data/calibration", import.meta.url));

let dir: string;
let engine: EmbeddedEngine;
let calibration: string[];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-gains-"));
  engine = await openEmbeddedEngine({ threads: 2 });
  calibration = [join(dir, "prose.txt"), join(dir, "dialogue.txt")];
  for (const path of calibration) {
    const text = await readFile(path.replace(dir, shipped), "utf8");
    await writeFile(path, text.slice(0, 1500));
  }
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

async function measured(
  kind: Parameters<typeof writeRunnable>[0],
  overrides: Partial<Bench> = {},
): Promise<{ before: Analysis; after: Analysis }> {
  const path = await writeRunnable(kind, dir);
  const before = await ofTypes(path, ["IQ3_S", "Q3_K", "Q4_K"]);
  const source = await openLocalModel(path);
  try {
    const after = await measureFeedback(source, before, { calibration, context: 64 }, testBench(engine, overrides));
    return { before, after };
  } finally {
    await source.close();
  }
}

/** The others would only take their time. */
async function ofTypes(path: string, types: readonly TensorType[]): Promise<Analysis> {
  const analysis = await madeUpAnalysis(path);
  const tensors = analysis.tensors.map((tensor) => {
    if (tensor.distortion === undefined) return tensor;
    const kept = types.flatMap((type) => {
      const estimate = tensor.distortion?.[type];
      return estimate === undefined ? [] : [[type, estimate] as const];
    });
    return { ...tensor, distortion: Object.fromEntries(kept) };
  });
  return { ...analysis, tensors };
}

/** Of one type, what is left of each tensor's error, by name. */
function left({ tensors }: Analysis, type: TensorType): Map<string, number | undefined> {
  return new Map(
    tensors.flatMap(({ name, distortion }) => {
      const estimate = distortion?.[type];
      return estimate === undefined ? [] : [[name, estimate.feedback] as const];
    }),
  );
}

describe("what error feedback leaves of the error of each type", () => {
  it("stands beside distortions that stay as they were", async () => {
    const { before, after } = await measured("qwen3");
    expect(after.feedback).toEqual({ text: "2 files" });
    for (const [index, { distortion = {} }] of before.tensors.entries()) {
      for (const [type, estimate] of Object.entries(distortion)) {
        expect(after.tensors[index]?.distortion?.[type as TensorType]).toMatchObject(estimate);
      }
    }
    const ratios = [...left(after, "Q4_K")].flatMap(([, ratio]) => ratio ?? []);
    expect(ratios.length).toBeGreaterThan(5);
    expect(Math.max(...ratios)).toBeLessThan(1);
    expect(Math.min(...ratios)).toBeGreaterThan(0.01);
  });

  it("is less for types whose codes are ggml's, a block at a time", async () => {
    const { after } = await measured("qwen3");
    const mean = (type: TensorType) => {
      const all = [...left(after, type).values()];
      return all.reduce<number>((sum, ratio) => sum + (ratio ?? 1), 0) / all.length;
    };
    expect(mean("IQ3_S")).toBeGreaterThan(mean("Q3_K") + 0.1);
  });

  it("is the same in as many passes as the memory asks for", async () => {
    const [once, often] = [await measured("qwen3"), await measured("qwen3", { memoryBytes: 1 })];
    expect(often.after.tensors).toEqual(once.after.tensors);
  });

  it("is known of experts, and of an embedding that is only looked up nothing", async () => {
    const { after } = await measured("moe");
    const ratios = left(after, "Q4_K");
    const experts = [...ratios].filter(([name]) => name.includes("exps"));
    expect(experts.length).toBeGreaterThan(0);
    expect(experts.some(([, ratio]) => ratio !== undefined && ratio < 1)).toBe(true);
    if (after.facts.hasOutput) expect(ratios.get("token_embd.weight")).toBeUndefined();
  });
});
