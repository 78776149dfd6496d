import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { findEnginePackage } from "../../src/engine/package.ts";
import { FormatError, UsageError } from "../../src/errors.ts";
import { tensorBytes } from "../../src/ggml/tensor-types.ts";
import { readFacts } from "../../src/gguf/facts.ts";
import { openModel } from "../../src/gguf/open.ts";
import type { Override } from "../../src/plan/patterns.ts";
import { idleOverrides, planFromRecipe } from "../../src/plan/plan-from-recipe.ts";
import { type PublishedRecipe, readRecipe, resolveOverrides } from "../../src/plan/published-recipe.ts";
import { readPlan } from "../../src/plan/read-plan.ts";
import { whyNoHoles, writeArchitecture } from "../fixtures/architectures.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

const committed = (size: string) =>
  readRecipe(readFileSync(new URL(`../../plans/qwen3.5-${size}-prism-dq.json`, import.meta.url), "utf8"), size);

const qwen = committed("0.8b");
const analysis = syntheticAnalysis({ layers: 8 });

/** The recipe of somebody with a model like the synthetic one. */
function recipeOf(tensorTypes: readonly Override[], arch = "llama"): PublishedRecipe {
  const tensors = analysis.tensors.map(({ name, shape, sourceType: type }) => {
    return { name, shape, type, bytes: tensorBytes(type, shape) };
  });
  return { ...qwen, arch, command: { baseFileType: "Q4_K_M", tensorTypes }, tensors };
}
const planOf = (recipe: PublishedRecipe, of = analysis) =>
  planFromRecipe({ analysis: of, sensitivity: uniformSensitivity(of), recipe, text: "--recipe x.json" });
const typeOf = (plan: ReturnType<typeof planOf>, name: string) => plan.tensors.find((t) => t.name === name)?.type;

// ffn_down of layers 0 and 1 are named, and Q4_K_M gives the first eighth of the rest Q6_K
const PARTIAL: Override[] = [
  { pattern: "blk\\.(0|1)\\.ffn_down", type: "Q3_K" },
  { pattern: "attn_q", type: "Q5_K" },
];

describe("planFromRecipe", () => {
  it("makes an ordinary plan that says which part of the command decided each tensor", () => {
    const plan = planOf(recipeOf(PARTIAL));
    expect(plan).toMatchObject({ mode: "recipe", baseFileType: "Q4_K_M", constraints: [] });
    expect(plan.budget).toEqual({ text: "--recipe x.json", fileBytes: plan.predicted.fileBytes });
    expect(plan.predicted.loss).toBeGreaterThan(plan.predicted.lowerBound);
    const note = (name: string) => plan.tensors.find((t) => t.name === name)?.note;
    expect(note("blk.1.ffn_down.weight")).toBe("--tensor-type blk\\.(0|1)\\.ffn_down=q3_K");
    expect(note("blk.2.ffn_down.weight")).toBe("what Q4_K_M gives the rest");
    expect(note("blk.0.attn_norm.weight")).toBeUndefined();
    expect(readPlan(JSON.stringify(plan), "plan.json")).toEqual(plan);
  });

  it("counts for the stock mix only what no pattern matches", () => {
    const plan = planOf(recipeOf(PARTIAL));
    // without overrides it is layer 0 that is first; here layer 2 is
    const stock = planOf(recipeOf([{ pattern: "attn_q", type: "Q5_K" }]));
    expect([0, 1, 2].map((layer) => typeOf(stock, `blk.${layer}.ffn_down.weight`))).toEqual(["Q6_K", "Q4_K", "Q4_K"]);
    expect([0, 1, 2].map((layer) => typeOf(plan, `blk.${layer}.ffn_down.weight`))).toEqual(["Q3_K", "Q3_K", "Q6_K"]);
  });

  it("refuses a model of another architecture that has nothing for a pattern, and takes one that has", () => {
    expect(() => planOf(qwen)).toThrow(UsageError);
    expect(() => planOf(qwen)).toThrow(/for qwen35 models and this one is llama: .* attn_gate, .*ssm_out/);
    expect(planOf(recipeOf(PARTIAL, "mistral4")).mode).toBe("recipe");
  });

  it("lets a model of the same architecture lack a tensor, and names the pattern", () => {
    const tied = syntheticAnalysis({ layers: 8, tied: true });
    const recipe = recipeOf([{ pattern: "^output\\.", type: "Q5_K" }, ...PARTIAL]);
    expect(typeOf(planOf(recipe), "output.weight")).toBe("Q5_K");
    expect(planOf(recipe, tied).mode).toBe("recipe");
    expect(idleOverrides(recipe, tied).map(({ pattern }) => pattern)).toEqual(["^output\\."]);
    expect(idleOverrides(recipe, analysis)).toEqual([]);
  });

  it("does not count a pattern as missing that never decided anything", () => {
    // blk\.(4)\.ssm_beta comes after ssm_beta
    expect(idleOverrides(qwen, { tensors: [] }).map(({ pattern }) => pattern)).not.toContain("blk\\.(4)\\.ssm_beta");
  });

  it("refuses a type that needs an imatrix where there is none", () => {
    const recipe = recipeOf([{ pattern: "ffn_up", type: "IQ2_XS" }]);
    expect(() => planOf(recipe)).toThrow(/blk\.0\.ffn_up\.weight: IQ2_XS is not possible/);
    expect(planOf(recipe, syntheticAnalysis({ layers: 8, imatrix: true })).mode).toBe("recipe");
  });
});

describe("readRecipe", () => {
  const edited = (change: object) => JSON.stringify({ ...qwen, ...change });

  it("refuses a pattern that is no regular expression, bytes that are wrong, and a preset that ignores patterns", () => {
    const { command, tensors } = qwen;
    const [first] = tensors;
    const wrong = [
      { command: { ...command, tensorTypes: [{ pattern: "attn_(q", type: "Q3_K" }] } },
      { command: { ...command, baseFileType: "F16" } },
      { tensors: [{ ...first, bytes: 7 }] },
      { tensors: [{ ...first, shape: [100, 2] }] },
      { tensors: [] },
      { arch: undefined },
    ];
    for (const change of wrong) expect(() => readRecipe(edited(change), "x.json")).toThrow(FormatError);
    expect(readRecipe(edited({}), "x.json")).toEqual(qwen);
  });
});

const dir = await mkdtemp(join(tmpdir(), "prism-recipe-"));
afterAll(() => rm(dir, { recursive: true, force: true }));
const noEngine = (() => {
  try {
    findEnginePackage();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
})();
const noHoles = await whyNoHoles(dir);

describe.skipIf(noEngine !== undefined)(`resolveOverrides gives what llama.cpp gives ${noEngine ?? ""}`, () => {
  async function expectDryRun(path: string, { baseFileType, tensorTypes }: PublishedRecipe["command"]): Promise<void> {
    const file = await openModel(path);
    await file.close();
    const { model } = file;
    const types = resolveOverrides(readFacts(model), model.tensors, baseFileType, tensorTypes);
    const engine = await openEmbeddedEngine({ threads: 1 });
    try {
      // llama-quantize lower-cases the patterns before it hands them to the library
      const overrides = tensorTypes.map(({ pattern, type }) => ({ pattern: pattern.toLowerCase(), type }));
      const output = join(dir, "none.gguf");
      const dry = await engine.quantize({
        source: path,
        output,
        fileType: baseFileType,
        overrides,
        threads: 1,
        dryRun: true,
      });
      expect([...types]).toEqual(dry.tensors.map(({ name, type }) => [name, type]));
    } finally {
      await engine.close();
    }
  }

  it.each(["0.8b", "9b"])("for the published recipe of %s on a small qwen35", async (size) => {
    await expectDryRun(await writeRunnable("qwen35", dir), committed(size).command);
  });

  it.skipIf(noHoles !== undefined)(`on the tensors of Qwen3.5-0.8B ${noHoles ?? ""}`, async () => {
    const path = await writeArchitecture("Qwen3.5-0.8B", dir);
    await expectDryRun(path, qwen.command);
    await rm(path);
  });

  it("where patterns shift the counters of Q3_K_M and Q4_K_M", async () => {
    const path = await writeRunnable("llama", dir);
    for (const baseFileType of ["Q3_K_M", "Q4_K_M"] as const) {
      const tensorTypes: Override[] = [
        { pattern: "blk\\.(0|2)\\.FFN_DOWN", type: "Q8_0" },
        { pattern: "blk\\.1\\.attn_v", type: "Q3_K" },
      ];
      await expectDryRun(path, { baseFileType, tensorTypes });
    }
  });
});
