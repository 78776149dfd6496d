import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import type { FileType } from "../../src/ggml/file-types.ts";
import { readFacts } from "../../src/gguf/facts.ts";
import { type Imatrix, readImatrix } from "../../src/imatrix/imatrix.ts";
import type { BudgetRequest } from "../../src/plan/budget.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import type { PublishedRecipe } from "../../src/plan/published-recipe.ts";
import { checkBaselines, importanceFrom } from "../../src/run/baselines.ts";
import { chooseControls, neighbourPresets, neighbourTypes } from "../../src/run/candidates.ts";
import { matches } from "../../src/run/published-recipes.ts";
import { type Sensitivity, uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";
import { writeMadeUpImatrix } from "../quantize/made-up-imatrix.ts";
import { readModel } from "../quantize/paper-model.ts";

let dir: string;
let path: string;
let analysis: Analysis;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-candidates-"));
  path = await writeRunnable("llama", dir);
  analysis = await madeUpAnalysis(path);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const planOf = (budget: BudgetRequest, sensitivity: Sensitivity = uniformSensitivity(analysis)) => {
  const planOptions = { analysis, sensitivity, budget };
  return { plan: makePlan(planOptions), planOptions };
};
const like = (fileType: FileType) => planOf({ kind: "like", fileType }).plan;

describe("the neighbours of a plan", () => {
  it("are the presets just below and above its bytes", () => {
    const plan = like("Q4_K_M");
    const at = (fileBytes: number) => neighbourPresets({ ...plan, predicted: { ...plan.predicted, fileBytes } }, false);
    const q4 = plan.budget.fileBytes;
    expect(at(q4)).toEqual(["Q4_K_M", "Q5_K_S"]);
    expect(at(q4 - 1)).toEqual(["Q4_K_S", "Q4_K_M"]);
    expect(at(1)).toEqual(["Q2_K"]);
    expect(at(1e12)).toEqual(["Q8_0"]);
  });

  it("are the uniform types just below and above its bits", () => {
    expect(neighbourTypes(like("Q4_K_M"))).toEqual(["Q4_K", "Q5_K"]);
    expect(neighbourTypes(like("Q2_K"))).toEqual(["Q2_K", "Q3_K"]);
  });
});

describe("the controls of a plan", () => {
  const choose = (sensitivity: Sensitivity, baselines: readonly FileType[] = []) => {
    const { plan, planOptions } = planOf({ kind: "like", fileType: "Q4_K_M" }, sensitivity);
    return { plan, controls: chooseControls({ plan, planOptions, baselines, pathOf: (slug) => join(dir, slug) }) };
  };
  const odd = (): Sensitivity => {
    const { values } = uniformSensitivity(analysis);
    return {
      mode: "odd",
      version: "1",
      lossUnit: "relative",
      values: new Map([...values].map(([name, s]) => [name, name.includes("ffn") ? 3 * s : s])),
    };
  };

  it("are the baselines asked for, uniform types and three shuffles", () => {
    const { controls } = choose({ ...uniformSensitivity(analysis), headKnown: true }, ["Q3_K_M", "Q6_K"]);
    const labels = ["Q3_K_M", "Q6_K", "all Q4_K", "all Q5_K", "shuffle 1", "shuffle 2", "shuffle 3"];
    expect(controls.map(({ label }) => label)).toEqual(labels);
    expect(new Set(controls.map(({ slug }) => slug)).size).toBe(labels.length);
  });

  it("have a published recipe among them where it was made for this model's shapes", () => {
    const { plan, planOptions } = planOf({ kind: "like", fileType: "Q4_K_M" });
    const tensors = analysis.tensors.map(({ name, shape }) => ({ name, shape, type: "Q4_K" as const, bytes: 1 }));
    const { arch } = analysis.facts;
    expect(matches({ arch, tensors }, analysis)).toBe(true);
    expect(matches({ arch: "other", tensors }, analysis)).toBe(false);
    expect(matches({ arch, tensors: tensors.map((tensor) => ({ ...tensor, shape: [256, 7] })) }, analysis)).toBe(false);
    const recipe: PublishedRecipe = {
      ...{ schema: "prism.recipe/1", name: "Paper DQ", model: "Paper", arch, author: "", license: "", url: "" },
      provenance: [],
      command: { baseFileType: "Q3_K_M", tensorTypes: [{ pattern: "ffn_down", type: "Q5_K" }] },
      published: { targetBpw: 4, bpw: 4, megabytes: 1, ppl: 1, pplOfQ3KM: 1 },
      today: { llamaCpp: "0.5.0", tensorBytes: 1, elements: 1, bpw: 4 },
      tensors,
    };
    const options = { plan, planOptions, baselines: [], recipes: [recipe], pathOf: (slug: string) => join(dir, slug) };
    const found = chooseControls(options).find(({ kind }) => kind === "published");
    expect(found).toMatchObject({ label: "Paper DQ", slug: "published-1" });
    expect(found?.spec.expectedTypes.get("blk.0.ffn_down.weight")).toBe("Q5_K");
    expect(found?.spec.expectedTypes.get("blk.0.ffn_up.weight")).toBe("Q3_K");
  });

  it("have s = elements among them only for another sensitivity", () => {
    expect(choose(odd()).controls.map(({ kind }) => kind)).toContain("uniform-s");
  });

  it("have the plan without the guard of the head among them, of equal bytes, where the guard binds", () => {
    // a head that nobody minds is given away, where it may be
    const { values } = uniformSensitivity(analysis);
    const headless: Sensitivity = { ...odd(), values: new Map([...values, ["output.weight", 1e-6]]) };
    const { plan, controls } = choose(headless);
    const free = controls.find(({ kind }) => kind === "unguarded");
    expect(free?.spec.expectedTypes.get("output.weight")).toBe("Q2_K");
    expect(plan.tensors.find(({ name }) => name === "output.weight")?.type).toBe("Q6_K");
    expect(free?.spec.expectedBytes).toBeLessThanOrEqual(plan.budget.fileBytes);
    const kinds = (sensitivity: Sensitivity) => choose(sensitivity).controls.map(({ kind }) => kind);
    expect(kinds({ ...headless, headKnown: true })).not.toContain("unguarded");
    expect(kinds({ ...headless, values: new Map([...values, ["output.weight", 1e9]]) })).not.toContain("unguarded");
  });

  it("that are solved have at most the budget, differ from the plan, and from one another", () => {
    const { plan, controls } = choose(odd());
    const solved = controls.filter(({ kind }) => kind === "shuffle" || kind === "uniform-s");
    const types = [plan.tensors.map(({ type }) => type), ...solved.map(({ spec }) => [...spec.expectedTypes.values()])];
    expect(new Set(types.map((list) => list.join())).size).toBe(5);
    for (const { spec } of solved) {
      expect(spec.expectedBytes).toBeLessThanOrEqual(plan.budget.fileBytes);
      expect(spec.expectedBytes).toBeGreaterThan(0.99 * plan.budget.fileBytes);
    }
  });
});

describe("a baseline", () => {
  it("that needs an imatrix is refused without one, and where the imatrix lacks a tensor that needs it", async () => {
    const model = await readModel(path);
    const check = (preset: FileType, imatrix?: Imatrix) =>
      checkBaselines([preset], model, readFacts(model), imatrix && importanceFrom(imatrix));
    expect(() => check("IQ2_XXS")).toThrow(
      /--baseline IQ2_XXS needs importance values \(for blk\.0\.\S+, say\): give --imatrix/,
    );
    expect(() => check("Q2_K_S")).toThrow(/--imatrix/);
    expect(() => check("Q2_K")).not.toThrow();
    const whole = await readImatrix(await writeMadeUpImatrix(path, join(dir, "imatrix.gguf")));
    expect(() => check("IQ2_XXS", whole)).not.toThrow();
    const partial = await readImatrix(await writeMadeUpImatrix(path, join(dir, "partial.gguf"), ["attn_k"]));
    expect(() => check("IQ2_XXS", partial)).toThrow(/attn_k.*partial\.gguf has none for it/);
  });
});
