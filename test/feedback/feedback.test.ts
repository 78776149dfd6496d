import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bench } from "../../src/bench.ts";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { addFeedback, FEEDBACK_KEY, type FeedbackOutcome, feedbackSpec } from "../../src/feedback/feedback.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { uniformSpec } from "../../src/quantize/plan-spec.ts";
import { quantize } from "../../src/quantize/quantize.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { testBench } from "../bench.ts";
import { type RunnableKind, writeRunnable } from "../fixtures/runnable.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";

const bundled = fileURLToPath(new URL("../../models/books-llama-8m-f16.gguf", import.meta.url));
const kindsFolder = fileURLToPath(new URL("../../data/calibration", import.meta.url));

let dir: string;
let engine: EmbeddedEngine;
let calibration: string[];
/** For models whose tokens are bytes. */
let short: string[];

/** Parts of the text that ships: the whole of it takes a while. */
async function shorten(kind: string, characters: number): Promise<string> {
  const path = join(dir, `${kind}-${characters}.txt`);
  await writeFile(path, (await readFile(join(kindsFolder, `${kind}.txt`), "utf8")).slice(0, characters));
  return path;
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-feedback-"));
  engine = await openEmbeddedEngine({ threads: 2 });
  calibration = [await shorten("prose", 12_000), await shorten("dialogue", 8_000)];
  short = [await shorten("prose", 1_500), await shorten("dialogue", 1_000)];
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

interface Made {
  readonly path: string;
  readonly outcome: FeedbackOutcome | undefined;
}

/** The model in one type, its codes chosen with feedback, or by ggml alone where `context` is absent. */
async function make(
  source: string,
  type: TensorType,
  output: string,
  context: number | undefined,
  overrides: Partial<Omit<Bench, "engine">> = {},
): Promise<Made> {
  const bench = testBench(engine, overrides);
  const analysis = await madeUpAnalysis(source);
  const sensitivity = uniformSensitivity(analysis);
  const plan = makePlan({ analysis, sensitivity, budget: { kind: "like", fileType: "Q4_K_M" } });
  const path = join(dir, output);
  const stock = uniformSpec(plan, type, path);
  const model = await openLocalModel(source);
  try {
    if (context === undefined) return { path: (await quantize(model, stock, {}, bench)).path, outcome: undefined };
    const request = { calibration: source === bundled ? calibration : short, context };
    const { spec, outcome } = feedbackSpec(model, plan, stock, request, bench);
    await quantize(model, spec, {}, bench);
    return { path, outcome: outcome() };
  } finally {
    await model.close();
  }
}

/** Mean KL divergence from the source on text of another kind, nats. */
async function divergence(source: string, path: string): Promise<number> {
  const load = (model: string) => engine.library.load({ model, context: 256, threads: 1, gpuLayers: 0 });
  const reference = await load(source);
  const model = await load(path);
  const text = await readFile(await shorten("technical", 8_000), "utf8");
  const ids = await reference.tokenize(text);
  const chunks = Math.min(8, Math.floor(ids.length / 256));
  const tokens = { context: 256, chunks, ids: ids.slice(0, chunks * 256) };
  const { kld } = await model.score({ tokens, first: 0, count: chunks, reference: { loaded: reference } });
  await model.close();
  await reference.close();
  return (kld as Float64Array).reduce((sum, each) => sum + each, 0) / (kld as Float64Array).length;
}

describe("codes chosen with error feedback", () => {
  it("make a better file of the same types, whose header says so", async () => {
    const stock = await make(bundled, "Q4_K", "stock.gguf", undefined);
    const made = await make(bundled, "Q4_K", "feedback.gguf", 256);
    // all but the lookup of the embedding, which is no product, and where it does not pay
    const { chosen = 0, kept = 0 } = made.outcome ?? {};
    expect([chosen + kept, chosen > 50, kept > 0]).toEqual([58, true, true]);
    expect(made.outcome?.ratio).toBeLessThan(0.8);
    expect(await divergence(bundled, made.path)).toBeLessThan(0.9 * (await divergence(bundled, stock.path)));
    const [before, after] = [await openLocalModel(stock.path), await openLocalModel(made.path)];
    expect(after.model.metadata.get(FEEDBACK_KEY)).toContain("error feedback, from 2 texts given");
    expect(after.model.tensors.map(({ name, type }) => [name, type])).toEqual(
      before.model.tensors.map(({ name, type }) => [name, type]),
    );
    await before.close();
    await after.close();
  });

  it("are the same in as many passes as the memory asks for", async () => {
    const source = await writeRunnable("qwen3", dir);
    const once = await readFile((await make(source, "Q3_K", "once.gguf", 64)).path);
    const often = await readFile((await make(source, "Q3_K", "often.gguf", 64, { memoryBytes: 1 })).path);
    expect(often.equals(once)).toBe(true);
  });

  const kinds: readonly (readonly [RunnableKind, TensorType])[] = [
    ["moe", "Q4_K"],
    ["split", "IQ4_XS"],
    ["odd-rows", "Q5_1"],
    ["bf16", "Q2_K"],
    ["f32", "IQ3_S"],
    ["gpt2", "Q6_K"],
    ["qwen35", "Q4_0"],
  ];
  it.each(kinds)("%s in %s", async (kind, type) => {
    const source = await writeRunnable(kind, dir);
    const { path, outcome } = await make(source, type, `coded-${kind}.gguf`, 64);
    expect(outcome?.chosen).toBeGreaterThan(0);
    expect(outcome?.ratio).toBeLessThan(1);
    const { tensors } = (await openLocalModel(path)).model;
    expect(new Set(tensors.map((tensor) => tensor.type))).toContain(type);
  });

  it("need a text of a context at least", async () => {
    const source = await writeRunnable("qwen3", dir);
    await writeFile(join(dir, "few.txt"), "few words");
    const model = await openLocalModel(source);
    const made = addFeedback(model, source, { calibration: [join(dir, "few.txt")], context: 64 }, testBench(engine));
    await expect(made).rejects.toThrow(
      /few\.txt has 9 tokens, fewer than a context of 64 to calibrate on; give a longer one/,
    );
    await model.close();
  });

  it("leave nothing behind where the work is interrupted", async () => {
    const stop = new AbortController();
    const progress = {
      note: () => undefined,
      steps: (what: string) => what.startsWith("choosing") && stop.abort("enough"),
    };
    const made = make(bundled, "Q4_0", "stopped.gguf", 256, { signal: stop.signal, progress });
    await expect(made).rejects.toBe("enough");
    expect((await readdir(dir)).filter((name) => name.includes("stopped"))).toEqual([]);
  });
});
