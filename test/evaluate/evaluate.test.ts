import { mkdtemp, open, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bench } from "../../src/bench.ts";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { FileError, FormatError, UsageError } from "../../src/errors.ts";
import { evaluate as evaluateModels } from "../../src/evaluate/evaluate.ts";
import type { EvaluateRequest } from "../../src/evaluate/evaluate-options.ts";
import type { Evaluation } from "../../src/evaluate/evaluation.ts";
import { openSession } from "../../src/evaluate/session.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { testBench } from "../bench.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { generateText } from "./generated-text.ts";

/** Write over bytes of a file from `at`, from its end where that is negative. */
async function overwrite(path: string, at: number, bytes: number): Promise<void> {
  const file = await open(path, "r+");
  const { size } = await file.stat();
  await file.write(Buffer.alloc(bytes, 1), 0, bytes, at < 0 ? size + at : at);
  await file.close();
}

/** Tokens of a chunk of a file of logits. */
const tokensOf = (logits: Buffer) => logits.readUInt32LE(8);

const REFERENCE = fileURLToPath(new URL("../../models/books-llama-8m-f16.gguf", import.meta.url));
let dir: string;
let engine: Engine;
let text: string;
let quantized: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-evaluate-"));
  engine = await openEmbeddedEngine({ threads: 2 });
  text = join(dir, "text.txt");
  await writeFile(text, generateText(3000));
  quantized = join(dir, "q3.gguf");
  await engine.quantize({ source: REFERENCE, output: quantized, fileType: "Q3_K_M", overrides: [], threads: 2 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

interface Asked extends EvaluateRequest {
  readonly models: readonly string[];
  readonly bench?: Partial<Bench>;
  readonly cacheDir?: string;
}

function options(change: Partial<Asked> = {}): Asked {
  return { models: [quantized], reference: REFERENCE, text, context: 128, chunks: 24, ...change };
}

// The threads of so small a model spend their time waiting for each other: one is enough.
function benchOf({ bench, cacheDir }: Pick<Asked, "bench" | "cacheDir">): Bench {
  return testBench(engine, { seed: 1, cache: { dir: cacheDir, logitsLimitBytes: 1e9 }, ...bench });
}

function evaluate({ models, bench, cacheDir, ...request }: Asked): Promise<Evaluation> {
  return evaluateModels(models, request, benchOf({ bench: bench ?? {}, ...(cacheDir && { cacheDir }) }));
}

/** Watches what is counted. */
const watching = (onSteps: (what: string) => void): Partial<Bench> => ({
  progress: { note: () => undefined, steps: onSteps },
});

/** Relative difference that another instruction set may make; on one machine it is under 1e-5. */
const TOLERANCE = 2e-3;
const relative = (value: number | undefined, expected: number) => Math.abs((value ?? Number.NaN) / expected - 1);

describe("an evaluation", () => {
  it("gives the figures llama-perplexity printed for the same models and text", async () => {
    const { reference, models, warnings } = await evaluate(options({ bench: { threads: 2 } }));
    const [model] = models;
    // llama-perplexity v0.5.0, -c 128 --chunks 24, on an AVX-512 machine
    expect(relative(reference?.ppl.value, 3590.481_722)).toBeLessThan(TOLERANCE);
    expect(relative(reference?.ppl.se, 235.2562)).toBeLessThan(TOLERANCE);
    expect(relative(model?.ppl.value, 3606.348_172)).toBeLessThan(TOLERANCE);
    expect(relative(model?.kld?.mean, 0.020_873_766)).toBeLessThan(10 * TOLERANCE);
    expect(relative(model?.kld?.se, 0.000_537_33)).toBeLessThan(20 * TOLERANCE);
    expect(relative(model?.kld?.median, 0.015_159_985)).toBeLessThan(20 * TOLERANCE);
    expect(model?.sameTop).toBeGreaterThan(86);
    expect(model?.sameTop).toBeLessThan(88);
    expect(Math.abs((model?.lnPplRatio?.value ?? 1) - 0.004_409)).toBeLessThan(0.002);
    expect(relative(model?.lnPplRatio?.se, 0.006_091)).toBeLessThan(0.05);
    expect(model).toMatchObject({ chunks: 24, tokens: 24 * 63 });
    expect(model?.perChunk?.kld).toHaveLength(24);
    expect(warnings).toEqual([]);
  });

  it("is the same through cached logits, which the next evaluation reads instead of the reference", async () => {
    const cacheDir = join(dir, "cache");
    const beside = await evaluate(options());
    const progress = new Set<string>();
    const cached = options({ cacheDir, bench: watching((what) => progress.add(what)) });
    const first = await evaluate(cached);
    expect(progress).toEqual(new Set(["reference", "evaluating q3.gguf"]));
    progress.clear();
    const second = await evaluate(cached);
    expect(progress).toEqual(new Set(["evaluating q3.gguf"]));
    for (const evaluation of [first, second]) {
      expect(evaluation.models[0]?.kld).toEqual(beside.models[0]?.kld);
      expect(evaluation.reference).toEqual(beside.reference);
    }
    expect(await readdir(join(cacheDir, "logits"))).toHaveLength(2);
  });

  it("makes damaged or unfinished logits anew, and says so", async () => {
    const cacheDir = join(dir, "damaged");
    const notes: string[] = [];
    const progress = { note: (note: string) => notes.push(note), steps: () => undefined };
    const small = options({ cacheDir, chunks: 4, bench: { progress } });
    const whole = await evaluate(small);
    const name = (await readdir(join(cacheDir, "logits"))).find((name) => name.endsWith(".logits"));
    const path = join(cacheDir, "logits", name ?? "");
    const damage: [RegExp, () => Promise<void>][] = [
      [/need \d+ bytes, but the file has 5000/, () => truncate(path, 5000)],
      [/chunk 4 is not the one/, () => overwrite(path, -1000, 1000)],
      [/chunk 1 is not the one/, async () => overwrite(path, 20 + 4 * 4 * tokensOf(await readFile(path)) + 9, 1)],
      [/it is of other tokens/, () => overwrite(path, 21, 1)],
      [/seal is missing/, () => rm(`${path}.sha256`)],
    ];
    for (const [words, harm] of damage) {
      await harm();
      notes.length = 0;
      expect((await evaluate(small)).models[0]?.kld).toEqual(whole.models[0]?.kld);
      expect(notes).toContainEqual(expect.stringMatching(words));
    }
  });

  it("decodes both models side by side where the logits don't fit the limit", async () => {
    const cacheDir = join(dir, "limited");
    const { models } = await evaluate(
      options({ bench: { cache: { dir: cacheDir, logitsLimitBytes: 1000 } }, chunks: 4 }),
    );
    expect(models[0]?.kld?.mean).toBeGreaterThan(0.01);
    expect(await readdir(join(cacheDir, "logits"))).toEqual([]);
  });

  it("leaves no half-written logits behind when it is interrupted, and the engine works on", async () => {
    const cacheDir = join(dir, "interrupted");
    const controller = new AbortController();
    const interrupted = evaluate(
      options({ cacheDir, bench: { signal: controller.signal, ...watching(() => controller.abort()) } }),
    );
    await expect(interrupted).rejects.toMatchObject({ name: "AbortError" });
    expect(await readdir(join(cacheDir, "logits"))).toEqual([]);
    expect((await evaluate(options({ chunks: 2, cacheDir }))).models).toHaveLength(1);
  });

  it("finds no divergence between a model and itself", async () => {
    const { models } = await evaluate(options({ models: [REFERENCE], chunks: 4 }));
    expect(Math.abs(models[0]?.kld?.mean ?? 1)).toBeLessThan(1e-4);
    expect(models[0]?.sameTop).toBe(100);
    expect(Math.abs(models[0]?.lnPplRatio?.value ?? 1)).toBeLessThan(1e-4);
  });

  it("without a reference gives perplexity only, the same as with one", async () => {
    const { reference: _, ...single } = options({ chunks: 4 });
    const alone = await evaluate(single);
    const compared = await evaluate(options({ chunks: 4 }));
    expect(alone.models[0]?.ppl).toEqual(compared.models[0]?.ppl);
    expect(alone.models[0]).not.toHaveProperty("kld");
    expect(alone.models[0]).not.toHaveProperty("lnPplRatio");
    expect(alone).not.toHaveProperty("reference");
  });

  it("samples its own text, the same for the same seed, from the cache or not", async () => {
    const { text: _, chunks: __, ...untexted } = options({ context: 32 });
    const first = await evaluate({ ...untexted, chunks: 8 });
    const second = await evaluate({ ...untexted, chunks: 8, cacheDir: join(dir, "sampled") });
    const third = await evaluate({ ...untexted, chunks: 8, cacheDir: join(dir, "sampled") });
    expect(first.text).toMatchObject({ source: "sampled", seed: 1, context: 32, chunks: 8 });
    expect(second.text).toEqual(first.text);
    expect(third.models[0]?.kld).toEqual(first.models[0]?.kld);
    expect((await evaluate({ ...untexted, chunks: 8, bench: { seed: 2 } })).text.sha256).not.toBe(first.text.sha256);
    // its own text surprises the model far less than words at random
    expect(first.reference?.ppl.value).toBeLessThan(1000);
    expect(first.warnings[0]).toMatch(/only 8 chunks were scored; fewer than 20 give no verdict/);
  });

  it("takes as many chunks as the length rule asks for, the same for every model", async () => {
    const notes: string[] = [];
    const { chunks: _, ...ruled } = options({
      context: 64,
      bench: { progress: { note: (note) => notes.push(note), steps: () => undefined } },
    });
    const evaluation = await evaluate({ ...ruled, models: [quantized, REFERENCE] });
    expect(notes[0]).toMatch(
      /^pilot of 20 chunks: KLD 0\.02\d* ± \d\.\d %; scoring \d+ of 5\d chunks, about (a second|\d+ s) a model$/,
    );
    const { chunks } = evaluation.text;
    expect(chunks).toBeGreaterThanOrEqual(20);
    expect(evaluation.models.map((model) => model.chunks)).toEqual([chunks, chunks]);
  });

  it("warns of a context longer than the model was trained with", async () => {
    const { warnings } = await evaluate(options({ context: 512, chunks: 2 }));
    expect(warnings[1]).toBe("a context of 512 is longer than the 256 tokens the model was trained with");
  });
});

describe("an evaluation that can't be", () => {
  it("says which file is missing, damaged or no model, before any work", async () => {
    await expect(evaluate(options({ models: [] }))).rejects.toThrow(UsageError);
    await expect(evaluate(options({ models: [join(dir, "absent.gguf")] }))).rejects.toThrow(FileError);
    await expect(evaluate(options({ reference: join(dir, "absent.gguf") }))).rejects.toThrow(FileError);
    await expect(evaluate(options({ models: [text] }))).rejects.toThrow(FormatError);
  });

  it("refuses a model of another vocabulary, with and without the pilot", async () => {
    const other = await writeRunnable("llama", dir);
    await expect(evaluate(options({ models: [other] }))).rejects.toThrow(
      /llama\.gguf: its tokens are not those of the reference .*it has 257, the reference 4096/,
    );
    const { chunks: _, ...ruled } = options({ models: [other], context: 64 });
    await expect(evaluate(ruled)).rejects.toThrow(/it has 257/);
  });

  it("refuses a projector before anything is scored", async () => {
    const projector = await writeRunnable("clip", dir);
    const scored: string[] = [];
    const bench = watching((what) => scored.push(what));
    await expect(evaluate(options({ models: [projector], bench }))).rejects.toThrow(
      /clip\.gguf is a multimodal projector/,
    );
    expect(scored).toEqual([]);
  });

  it("refuses a text shorter than two contexts", async () => {
    const short = join(dir, "short.txt");
    await writeFile(short, "Too short.");
    await expect(evaluate(options({ text: short }))).rejects.toThrow(/short\.txt has \d+ tokens/);
  });

  it("refuses damaged weights by name", async () => {
    const damaged = await writeRunnable("llama", dir, { nan: true });
    const sound = await writeRunnable("llama", dir);
    await expect(evaluate(options({ models: [damaged], reference: sound, chunks: 2 }))).rejects.toThrow(
      /llama-nan\.gguf: the model's logits are NaN/,
    );
    const cacheDir = join(dir, "nan-cache");
    await expect(evaluate(options({ models: [sound], reference: damaged, chunks: 2, cacheDir }))).rejects.toThrow(
      /llama-nan\.gguf: the model's logits are NaN/,
    );
    expect(await readdir(join(cacheDir, "logits"))).toEqual([]);
  });
});

describe("a session", () => {
  it("evaluates models one by one over the same chunks, and closes twice without harm", async () => {
    const [reference, pilot] = await Promise.all([REFERENCE, quantized].map(openLocalModel));
    if (reference === undefined || pilot === undefined) throw new Error("no models");
    const session = await openSession({ reference, pilot }, options({ chunks: 3 }), benchOf({}));
    expect(session.referencePpl()).toBeUndefined();
    const first = await session.evaluateModel(pilot);
    const again = await session.evaluateModel(pilot);
    expect(again.kld).toEqual(first.kld);
    expect(session.referencePpl()?.value).toBeGreaterThan(1000);
    expect(session.text).toMatchObject({ chunks: 3, tokens: 3 * 63 });
    await Promise.all([reference, pilot].map((model) => model.close()));
    await session.close();
    await session.close();
  });
});
