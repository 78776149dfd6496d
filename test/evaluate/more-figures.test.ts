import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { evaluate } from "../../src/evaluate/evaluate.ts";
import type { EvaluateRequest } from "../../src/evaluate/evaluate-options.ts";
import { renderEvaluation } from "../../src/report/terminal/evaluation-table.ts";
import { testBench } from "../bench.ts";
import { generateText } from "./generated-text.ts";

const REFERENCE = fileURLToPath(new URL("../../models/books-llama-8m-f16.gguf", import.meta.url));
const CODE = "for (let i = 0; i < n; i++) { sum += values[i] * weights[i]; }\n".repeat(60);

let dir: string;
let engine: Engine;
let quantized: string;
let text: string;
let code: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-more-figures-"));
  engine = await openEmbeddedEngine({ threads: 1 });
  text = join(dir, "prose.txt");
  code = join(dir, "code.txt");
  await writeFile(text, generateText(1000));
  await writeFile(code, CODE);
  quantized = join(dir, "q4.gguf");
  await engine.quantize({ source: REFERENCE, output: quantized, fileType: "Q4_K_M", overrides: [], threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

function judge(more: Partial<EvaluateRequest>, dirOfCache?: string) {
  const cache = dirOfCache === undefined ? {} : { cache: { dir: dirOfCache, logitsLimitBytes: 1e9 } };
  const request = { reference: REFERENCE, text, context: 64, ...more };
  return evaluate([quantized], request, testBench(engine, { threads: 1, ...cache }));
}

describe("kinds of text", () => {
  it("are judged each by itself, a file a kind", async () => {
    const result = await judge({ kinds: [text, code], chunks: 1000 });
    const [model] = result.models;
    const [prose, program] = model?.kinds ?? [];
    expect([prose?.kind, program?.kind]).toEqual(["prose", "code"]);
    // the same text as a kind and as the text: the same figures
    expect(prose?.chunks).toBe(result.text.chunks);
    expect(prose?.kld?.mean).toBeCloseTo(model?.kld?.mean ?? 0, 6);
    expect(prose?.kld?.max).toBeCloseTo(model?.kld?.max ?? 0, 4);
    expect(prose?.sameTop).toBe(model?.sameTop);
    expect(program?.tokens).toBe((program?.chunks ?? 0) * 31);
    expect(program?.kld?.mean).not.toBeCloseTo(prose?.kld?.mean ?? 0, 5);
    expect(program?.ppl.value).toBeGreaterThan(0);
    const shown = renderEvaluation(result);
    expect(shown).toMatch(/by kind of text +chunks +KLD \(nats\) +same top\nprose +\d+ +0\.\d+ ± 0\.\d+ +\d+\.\d %/);
    expect(shown).toMatch(/\nmean of kinds +0\.\d+ ± 0\.\d+/);
    expect(shown.slice(shown.indexOf("by kind"))).not.toMatch(/^.{81}/m);
  });

  it("are those of the text that comes with PRISM, with the logits on disk as beside the reference", async () => {
    const cache = join(dir, "cache");
    await mkdir(cache);
    const kept = await judge({ kinds: true, chunks: 4 }, cache);
    const beside = await judge({ kinds: true, chunks: 4 });
    const kinds = kept.models[0]?.kinds ?? [];
    expect(kinds.map(({ kind }) => kind)).toEqual(["code", "dialogue", "languages", "prose", "technical"]);
    expect(kinds.every(({ chunks }) => chunks === 4)).toBe(true);
    for (const [index, { kld, sameTop }] of kinds.entries()) {
      expect(kld?.mean).toBeCloseTo(beside.models[0]?.kinds?.[index]?.kld?.mean ?? 0, 4);
      expect(sameTop).toBeGreaterThan(50);
    }
  });

  it("have a perplexity alone without a reference", async () => {
    const result = await judge({ reference: undefined, kinds: [code] });
    const [kind] = result.models[0]?.kinds ?? [];
    expect(kind?.kld).toBeUndefined();
    expect(kind?.ppl.value).toBeGreaterThan(1);
    expect(renderEvaluation(result)).toMatch(/by kind of text +chunks +PPL/);
  });

  it("are refused where they have one name, or no chunk", async () => {
    await mkdir(join(dir, "other"));
    const same = join(dir, "other", "code.txt");
    await writeFile(same, CODE);
    await expect(judge({ kinds: [code, same] })).rejects.toThrow(/two files are called "code"/);
    const short = join(dir, "short.txt");
    await writeFile(short, "Too short.");
    await expect(judge({ kinds: [short] })).rejects.toThrow(/--kinds: the text "short" has \d+ tokens/);
  });
});

describe("caches of other types", () => {
  it("are judged beside F16, against the same reference", async () => {
    const plain = await judge({ chunks: 12 });
    const result = await judge({ chunks: 12, kv: { k: "Q4_0", v: "Q4_0" } });
    const [model] = result.models;
    expect(model?.kld).toEqual(plain.models[0]?.kld);
    expect(model?.kvCache).toMatchObject({ k: "Q4_0", v: "Q4_0" });
    expect(model?.kvCache?.kld?.mean).toBeGreaterThan(1.05 * (model?.kld?.mean ?? 0));
    const mild = await judge({ chunks: 12, kv: { k: "Q8_0", v: "F16" } });
    expect(mild.models[0]?.kvCache?.kld?.mean).toBeLessThan(model?.kvCache?.kld?.mean ?? 0);
    expect(renderEvaluation(mild)).toMatch(
      /by type of its cache +KLD \(nats\) +same top\nq4\.gguf +f16 .*\n +q8_0,f16 +0\.\d+ ±/,
    );
  });
});
