import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type Analysis,
  analyze,
  type Engine,
  InfeasibleError,
  inspect,
  type ModelFile,
  makePlan,
  openEngine,
  openModel,
  readAnalysis,
  readFacts,
  readPlan,
  referenceBackend,
  renderRecipe,
  uniformSensitivity,
} from "../src/index.ts";

const MODEL = join(import.meta.dirname, "../models/books-llama-8m-f16.gguf");

let engine: Engine;
let file: ModelFile;
let analysis: Analysis;

beforeAll(async () => {
  engine = await openEngine({ threads: 1 });
  file = await openModel(MODEL);
  const backend = referenceBackend();
  analysis = await analyze(file, readFacts(file.model), {
    engine,
    backend,
    seed: 0,
    threads: 1,
    targetRelativeSe: 0.1,
  });
});
afterAll(async () => {
  await file.close();
  await engine.close();
});

it("plans a model in a few calls, each on the document of the one before", () => {
  const preset = inspect(file.model).presets.find(({ fileType }) => fileType === "Q3_K_M");
  const again = readAnalysis(JSON.stringify(analysis), "a.json");
  const plan = makePlan({
    analysis: again,
    sensitivity: uniformSensitivity(again),
    budget: { kind: "like", fileType: "Q3_K_M" },
  });
  expect(plan.budget.fileBytes).toBe(preset?.fileBytes);
  expect(readPlan(JSON.stringify(plan), "plan.json")).toEqual(plan);
  expect(renderRecipe(plan)["recipe.sh"]).toContain("--tensor-type");
});

it("throws errors a program can tell apart", () => {
  const impossible = () =>
    makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "bpw", value: 1 } });
  expect(impossible).toThrow(InfeasibleError);
});
