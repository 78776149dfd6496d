import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Analysis,
  analyze,
  evaluate,
  InfeasibleError,
  imatrix,
  inspect,
  makePlan,
  type OpenedBench,
  openBench,
  plan,
  quantize,
  readAnalysis,
  readPlan,
  renderRecipe,
  repair,
  UsageError,
  uniformSensitivity,
} from "../src/index.ts";
import { generateText } from "./evaluate/generated-text.ts";
import { writeRunnable } from "./fixtures/runnable.ts";

const MODEL = join(import.meta.dirname, "../models/books-llama-8m-f16.gguf");

let dir: string;
let bench: OpenedBench;
let analysis: Analysis;
const notes: string[] = [];
const steps = new Set<string>();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-library-"));
  const progress = { note: (text: string) => void notes.push(text), steps: (what: string) => void steps.add(what) };
  bench = await openBench({ threads: 2, backend: "reference", cacheDir: "none", progress });
  analysis = await analyze(MODEL, { targetRelativeSe: 0.1 }, bench);
});
afterAll(async () => {
  await bench.close();
  await rm(dir, { recursive: true, force: true });
});

describe("the library", () => {
  it("plans a model in a few calls, each on the document of the one before", async () => {
    const { presets } = await inspect(MODEL);
    const preset = presets.find(({ fileType }) => fileType === "Q3_K_M");
    const made = await plan(analysis, { like: "Q3_K_M" });
    expect(made.budget.fileBytes).toBe(preset?.fileBytes);
    expect(readPlan(JSON.stringify(made), "plan.json")).toEqual(made);
    expect(renderRecipe(made)["recipe.sh"]).toContain("--tensor-type");
    expect(readAnalysis(JSON.stringify(analysis), "a.json")).toEqual(analysis);
    expect(steps).toContain("analyzing");
  });

  it("quantizes and evaluates what it planned", async () => {
    const made = await plan(analysis, { bpw: 4.5, sensitivity: "uniform", pin: ["token_embd=Q8_0"] });
    const output = join(dir, "planned.gguf");
    const file = await quantize(made, { output }, bench);
    expect(file).toMatchObject({
      path: output,
      fileBytes: made.predicted.fileBytes,
      sha256: expect.stringMatching(/^\w{64}$/),
    });
    const text = join(dir, "text.txt");
    await writeFile(text, generateText(1000));
    const { models } = await evaluate([output], { reference: MODEL, text, context: 64, chunks: 4 }, bench);
    expect(models[0]).toHaveProperty("kld.mean", expect.any(Number));
    const matrix = await imatrix(MODEL, { output: join(dir, "imatrix.gguf"), text, context: 64, chunks: 4 }, bench);
    expect(matrix).toMatchObject({ chunks: 4, entries: expect.any(Number) });
  });

  it("leaves a sound model alone", async () => {
    const sound = await writeRunnable("llama", dir);
    expect(await repair(sound, { dryRun: true }, bench)).toMatchObject({ plan: { changes: [] }, written: undefined });
  });

  it("throws errors a program can tell apart", async () => {
    const impossible = () =>
      makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "bpw", value: 1 } });
    expect(impossible).toThrow(InfeasibleError);
    await expect(plan(MODEL, { like: "Q3_K_M" })).rejects.toThrow(UsageError);
  });

  it("names its options in messages, not flags", async () => {
    await expect(plan(analysis, {})).rejects.toThrow(
      "a budget is needed: `bpw` 3.5, `size` 4.3GB, `like` Q3_K_M, or `vram` 6GB `ctx` 8192",
    );
    await expect(evaluate([MODEL], {}, bench)).rejects.toThrow(
      "give `text`, or `reference` to compare on sampled text",
    );
    await expect(plan(analysis, { bpw: 4, like: "Q4_K_M" })).rejects.toThrow(
      /^`bpw` 4 and `like` Q4_K_M: expected one/,
    );
  });

  it("throws the reason of the signal that stops it", async () => {
    const controller = new AbortController();
    const own = { ...bench, signal: controller.signal };
    controller.abort(new Error("the user left"));
    await expect(analyze(MODEL, {}, own)).rejects.toThrow("the user left");
    await expect(analyze(MODEL, {}, { ...bench, signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: "AbortError",
    });
  });
});
