import { copyFile, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine, QuantizeJob } from "../../src/engine/engine.ts";
import { EngineError } from "../../src/errors.ts";
import { openModel } from "../../src/gguf/open.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

let dir: string;
let engine: Engine;
let source: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-quantize-"));
  engine = await openEmbeddedEngine({ threads: 2 });
  source = await writeRunnable("llama", dir);
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

function job(change: Partial<QuantizeJob> = {}): QuantizeJob {
  return { source, output: join(dir, "out.gguf"), fileType: "Q4_K_M", overrides: [], threads: 2, ...change };
}

async function typesOf(path: string): Promise<Map<string, string>> {
  const file = await openModel(path);
  await file.close();
  return new Map(file.model.tensors.map(({ name, type }) => [name, type]));
}

async function metadataOf(path: string) {
  const file = await openModel(path);
  await file.close();
  return file.model.metadata;
}

describe("quantizing", () => {
  it("reports what the output file holds, and a dry run the same without writing", async () => {
    const overrides = [
      { pattern: "^blk\\.0\\.ffn_down\\.weight$", type: "Q8_0" },
      { pattern: "^token_embd\\.weight$", type: "IQ4_XS" },
    ] as const;
    const progress: string[] = [];
    const outcome = await engine.quantize(job({ overrides, onProgress: (done, of) => progress.push(`${done}/${of}`) }));
    const types = await typesOf(join(dir, "out.gguf"));
    expect(new Map(outcome.tensors.map(({ name, type }) => [name, type]))).toEqual(types);
    expect(types.get("blk.0.ffn_down.weight")).toBe("Q8_0");
    expect(types.get("token_embd.weight")).toBe("IQ4_XS");
    expect(types.get("blk.1.ffn_up.weight")).toBe("Q4_K");
    expect(progress.at(-1)).toBe(`${types.size}/${types.size}`);
    const before = await readdir(dir);
    const dry = await engine.quantize(job({ overrides, dryRun: true, output: join(dir, "dry.gguf") }));
    expect(dry).toEqual(outcome);
    expect(await readdir(dir)).toEqual(before);
  });

  it("keeps two jobs sent at the same time apart", async () => {
    const [small, large] = await Promise.all([
      engine.quantize(job({ fileType: "Q2_K", dryRun: true })),
      engine.quantize(job({ fileType: "Q8_0", dryRun: true })),
    ]);
    expect(small.tensors).toHaveLength(large.tensors.length);
    expect(new Set(large.tensors.map(({ type }) => type))).toEqual(new Set(["F32", "Q8_0"]));
    expect(small.bpw).toBeLessThan(large.bpw as number);
  });

  it("joins shards, falls back on odd rows, and reads models that are bf16 or tied", async () => {
    for (const [kind, expected] of [
      ["split", "Q4_K"],
      ["odd-rows", "Q5_0"],
      ["bf16", "Q4_K"],
      ["qwen3", "Q4_K"],
    ] as const) {
      const { tensors } = await engine.quantize(job({ source: await writeRunnable(kind, dir) }));
      expect(tensors.find(({ name }) => name === "blk.1.attn_q.weight")?.type).toBe(expected);
      expect(new Map(tensors.map(({ name, type }) => [name, type]))).toEqual(await typesOf(join(dir, "out.gguf")));
    }
  });

  it("writes a readable file from a source of another alignment when told to fix it", async () => {
    const aligned = await writeRunnable("align64", dir);
    await engine.quantize(job({ source: aligned, fixAlignment: true }));
    expect((await metadataOf(join(dir, "out.gguf"))).get("general.alignment")).toBe(32);
  });

  it("uses the importance and leaves the keys that llama-quantize would", async () => {
    const { model } = await (async () => {
      const file = await openModel(source);
      await file.close();
      return file;
    })();
    const importance = new Map(
      model.tensors
        .filter(({ name, shape }) => /^blk\..*weight$/.test(name) && shape.length === 2)
        .map(({ name, shape }) => [name, new Float32Array(shape[0] as number).fill(1)]),
    );
    const long = "é".repeat(100);
    const imatrix = { path: "unused", importance, file: long, dataset: "books", entries: importance.size, chunks: 12 };
    await engine.quantize(job({ fileType: "IQ2_XXS", imatrix }));
    const metadata = await metadataOf(join(dir, "out.gguf"));
    expect(metadata.get("quantize.imatrix.dataset")).toBe("books");
    expect(Number(metadata.get("quantize.imatrix.entries_count"))).toBe(importance.size);
    expect(Number(metadata.get("quantize.imatrix.chunks_count"))).toBe(12);
    const stored = Buffer.from(String(metadata.get("quantize.imatrix.file")));
    expect(stored.subarray(0, 126).toString()).toBe("é".repeat(63));
    const short = { ...imatrix, importance: new Map([...importance].map(([name]) => [name, new Float32Array(5)])) };
    await expect(engine.quantize(job({ fileType: "IQ2_XXS", imatrix: short }))).rejects.toThrow(/imatrix|size/);
  });

  it("refuses a type that needs an importance, with the library's words", async () => {
    await expect(engine.quantize(job({ fileType: "IQ2_XXS" }))).rejects.toThrow(
      /could not quantize[\s\S]*requires an importance matrix/,
    );
  });

  it("refuses to quantize what is quantized already unless it is allowed", async () => {
    await engine.quantize(job());
    const quantized = join(dir, "quantized.gguf");
    await copyFile(join(dir, "out.gguf"), quantized);
    const again = job({ source: quantized, fileType: "Q8_0" });
    await expect(engine.quantize(again)).rejects.toThrow(/requantizing from type .* is disabled/);
    expect((await engine.quantize({ ...again, allowRequantize: true })).tensors.length).toBeGreaterThan(10);
  });

  it("turns an assert into an EngineError and goes on", async () => {
    const overrides = [{ pattern: "^token_embd\\.weight$", type: "IQ2_XXS" }] as const;
    const crash = engine.quantize(job({ overrides }));
    await expect(crash).rejects.toBeInstanceOf(EngineError);
    await expect(crash).rejects.toThrow(/ended during quantize \(SIGABRT\)[\s\S]*GGML_ASSERT/);
    expect((await engine.quantize(job({ dryRun: true }))).tensors.length).toBeGreaterThan(10);
  });

  it("stops on abort", async () => {
    const controller = new AbortController();
    const stopped = engine.quantize(job({ signal: controller.signal, onProgress: () => controller.abort() }));
    await expect(stopped).rejects.toMatchObject({ name: "AbortError" });
  });

  it("refuses a source that is not there and an output it can't write", async () => {
    await expect(engine.quantize(job({ source: join(dir, "absent.gguf") }))).rejects.toBeInstanceOf(EngineError);
    await expect(engine.quantize(job({ output: join(dir, "no", "folder.gguf") }))).rejects.toBeInstanceOf(EngineError);
  });
});
