import { appendFile, copyFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, PerplexityJob, PerplexityReport, Programs } from "../../src/engine/engine.ts";
import { UsageError } from "../../src/errors.ts";
import { evaluate } from "../../src/evaluate/evaluate.ts";
import { testBench } from "../bench.ts";
import { generateText } from "./generated-text.ts";

const MODEL = fileURLToPath(new URL("../../models/books-llama-8m-f16.gguf", import.meta.url));
const PPL = { value: 20, se: 1 };
const COMPARED: PerplexityReport = {
  chunks: 30,
  ppl: { value: 21, se: 1 },
  referencePpl: PPL,
  lnPplRatio: { value: 0.05, se: 0.01 },
  kld: { mean: 0.02, se: 0.001, median: 0.01, p99: 0.2, max: 0.9 },
  sameTop: 90,
  sameTopSe: 1,
};

let dir: string;
let text: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-session-"));
  text = join(dir, "text.txt");
  await writeFile(text, generateText(100));
});
afterAll(() => rm(dir, { recursive: true }));

/** Programs that answer at once; a run over a text writes its logits. */
function fakePrograms(jobs: PerplexityJob[], chunks = 30): Engine & { readonly programs: Programs } {
  const refuse = () => Promise.reject(new Error("not asked for here"));
  return {
    info: { kind: "programs", version: "0.5.0", origin: "/llama", devices: [] },
    quantize: refuse,
    close: async () => undefined,
    programs: { imatrix: refuse, perplexity },
  };

  async function perplexity(job: PerplexityJob): Promise<PerplexityReport> {
    jobs.push(job);
    if (job.text === undefined) {
      expect(await readFile(job.logits as string, "utf8")).toBe("logits");
      return COMPARED;
    }
    if (job.logits !== undefined) await writeFile(job.logits, "logits");
    return { chunks, ppl: PPL };
  }
}

const settings = { context: 64 };

describe("an evaluation through llama.cpp's programs", () => {
  it.each(["text", "model"])("refuses figures of a %s that was changed while it was read", async (what) => {
    const [changing, model] = [join(dir, "changing.txt"), join(dir, "changing.gguf")];
    await copyFile(text, changing);
    await copyFile(MODEL, model);
    const engine = fakePrograms([]);
    const { perplexity } = engine.programs;
    const programs: Programs = {
      ...engine.programs,
      async perplexity(job) {
        if (job.text === undefined) await appendFile(what === "text" ? changing : model, "x");
        return perplexity(job);
      },
    };
    const asked = evaluate(
      [model],
      { reference: MODEL, text: changing, ...settings },
      testBench({ ...engine, programs }),
    );
    await expect(asked).rejects.toThrow(
      what === "text" ? /changing\.txt: was changed/ : /changing\.gguf: (was|grew|is)/,
    );
  });

  it("takes the reference's logits once, compares every model with them, and removes them", async () => {
    const jobs: PerplexityJob[] = [];
    const evaluation = await evaluate(
      [MODEL, MODEL],
      { ...settings, reference: MODEL, text },
      testBench(fakePrograms(jobs)),
    );
    expect(jobs.map((job) => job.text !== undefined)).toEqual([true, false, false]);
    expect(evaluation.schema).toBe("prism.evaluation/1");
    expect(evaluation.reference?.ppl).toEqual(PPL);
    expect(evaluation.text).toMatchObject({ source: "file", path: text, context: 64, chunks: 30, tokens: 30 * 31 });
    expect(evaluation.models[1]).toMatchObject({
      kld: COMPARED.kld,
      sameTop: 90,
      tokens: 930,
      fileBytes: (await stat(MODEL)).size,
    });
    await expect(stat(jobs[0]?.logits as string)).rejects.toThrow();
  });

  it("without a reference runs each model once, writes no logits, and compares nothing", async () => {
    const jobs: PerplexityJob[] = [];
    const evaluation = await evaluate([MODEL], { ...settings, text }, testBench(fakePrograms(jobs)));
    expect(jobs).toHaveLength(1);
    expect(jobs[0]?.logits).toBeUndefined();
    expect(evaluation.reference).toBeUndefined();
    expect(evaluation.models[0]?.ppl).toEqual(PPL);
    expect(evaluation.models[0]).not.toHaveProperty("kld");
  });

  it("needs a text, and 100 scored tokens for a comparison", async () => {
    const bench = testBench(fakePrograms([], 3));
    const request = { ...settings, reference: MODEL };
    await expect(evaluate([MODEL], request, bench)).rejects.toThrow(/can't sample a text; give --text/);
    await expect(evaluate([MODEL], { ...request, text }, bench)).rejects.toThrow(UsageError);
    await expect(evaluate([MODEL], { ...request, text }, bench)).rejects.toThrow(/93 scored tokens/);
  });

  it("removes the logits when a run fails", async () => {
    const jobs: PerplexityJob[] = [];
    const engine = fakePrograms(jobs);
    const { programs } = engine;
    const perplexity = (job: PerplexityJob) => programs.perplexity(job).then(() => Promise.reject(new Error("full")));
    const failing = { ...engine, programs: { ...programs, perplexity } };
    await expect(evaluate([MODEL], { ...settings, reference: MODEL, text }, testBench(failing))).rejects.toThrow(
      "full",
    );
    await expect(stat(jobs[0]?.logits as string)).rejects.toThrow();
  });
});
