import { mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Bench } from "../../src/bench.ts";
import type { Engine, GpuDevice, LoadedModel } from "../../src/engine/engine.ts";
import { FileError, FormatError, UsageError } from "../../src/errors.ts";
import {
  hashIds,
  readText,
  SAMPLED_SEQUENCES,
  type SampleRequest,
  sampleText,
  spreadChunks,
} from "../../src/evaluate/text.ts";
import type { OpenModel } from "../../src/gguf/model.ts";
import { memoryModel } from "../analyze/model-in-memory.ts";
import { testBench } from "../bench.ts";
import { fakeModel } from "./fake-model.ts";

const engineOf = (gpus?: readonly GpuDevice[]) =>
  ({ info: { devices: ["CPU: a processor"], gpus } }) as unknown as Engine;
const NO_ENGINE = engineOf();

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-text-"));
});
afterEach(() => rm(dir, { recursive: true }));

async function fileOf(content: string | Uint8Array): Promise<string> {
  const path = join(dir, "text.txt");
  await writeFile(path, content);
  return path;
}

describe("a text file", () => {
  it("is cut into whole contexts, the tail dropped", async () => {
    const path = await fileOf("abcdefghijklmnopqrstuvwxyz".repeat(2));
    const { tokens, fileHash, source } = await readText(fakeModel(), path, 10, undefined);
    expect(tokens).toMatchObject({ context: 10, chunks: 5 });
    expect(tokens.ids).toHaveLength(50);
    expect(tokens.ids[49]).toBe("x".charCodeAt(0));
    expect(source).toBe("file");
    expect(fileHash).toMatch(/^[0-9a-f]{64}$/);
    expect((await readText(fakeModel(), path, 10, 2)).tokens.ids).toHaveLength(20);
    expect((await readText(fakeModel(), path, 10, 99)).tokens.chunks).toBe(5);
  });

  it("gives chunks from all over it, whole and in order", () => {
    const tokens = { context: 2, chunks: 10, ids: Int32Array.from({ length: 20 }, (_, i) => i) };
    expect(spreadChunks(tokens, 3)).toEqual({ context: 2, chunks: 3, ids: Int32Array.of(2, 3, 10, 11, 16, 17) });
    expect(spreadChunks(tokens, 10)).toBe(tokens);
    expect(spreadChunks(tokens, 11)).toBe(tokens);
  });

  it("loses one newline at its end, as in llama-perplexity", async () => {
    const chunksOf = async (content: string) =>
      (await readText(fakeModel(), await fileOf(content), 8, undefined)).tokens.chunks;
    expect(await chunksOf(`${"a".repeat(23)}\n`)).toBe(2);
    expect(await chunksOf(`${"a".repeat(23)}\n\n`)).toBe(3);
  });

  it("must hold two contexts", async () => {
    await expect(readText(fakeModel(), await fileOf("a".repeat(15)), 8, undefined)).rejects.toThrow(UsageError);
    await expect(readText(fakeModel(), await fileOf(""), 8, undefined)).rejects.toThrow(
      /has 0 tokens, but an evaluation with a context of 8 needs at least 16/,
    );
    expect((await readText(fakeModel(), await fileOf("a".repeat(16)), 8, undefined)).tokens.chunks).toBe(2);
  });

  it("must be UTF-8, without zeros", async () => {
    const latin = Buffer.from("caf\xe9 ".repeat(20), "latin1");
    await expect(readText(fakeModel(), await fileOf(latin), 8, undefined)).rejects.toThrow(FormatError);
    for (const zeros of [Buffer.from("wide text", "utf16le"), Buffer.alloc(1000)]) {
      await expect(readText(fakeModel(), await fileOf(zeros), 2, undefined)).rejects.toThrow(
        /has a zero at byte [01], which text doesn't; give a plain text file in UTF-8/,
      );
    }
    expect((await readText(fakeModel(), await fileOf("café ".repeat(20)), 8, undefined)).tokens.chunks).toBe(15);
  });

  it("must be there, and a file", async () => {
    await expect(readText(fakeModel(), join(dir, "absent"), 8, undefined)).rejects.toThrow(/no such file/);
    await expect(readText(fakeModel(), dir, 8, undefined)).rejects.toThrow(FileError);
  });
});

describe("a sampled text", () => {
  const options = { context: 16, chunks: 40, seed: 5 };
  const named = (headerHash: string): OpenModel => {
    const { model, ...open } = memoryModel([]);
    return { ...open, model: { ...model, headerHash } };
  };
  const sample = (model: LoadedModel, request: SampleRequest, bench: Partial<Bench> = {}, of = "model") =>
    sampleText(model, named(of), request, testBench(NO_ENGINE, bench));
  const kept = () => ({ cache: { dir, logitsLimitBytes: 0 } });

  it("is sampled in batches of sequences, each from its own seed", async () => {
    const model = fakeModel();
    const notes: string[] = [];
    const { tokens, source, seed } = await sample(model, options, {
      progress: { note: (note) => notes.push(note), steps: () => undefined },
    });
    expect({ source, seed }).toEqual({ source: "sampled", seed: 5 });
    expect(tokens.ids).toHaveLength(40 * 16);
    const batches = model.calls.filter((call) => call === `sample ${SAMPLED_SEQUENCES}×16`);
    expect(batches).toHaveLength(2);
    expect(tokens.ids[0]).not.toBe(tokens.ids[SAMPLED_SEQUENCES * 16]);
    expect(notes).toEqual(["no --text: sampling 64 × 16 tokens from the reference, about a second"]);
  });

  it("is the same for the same seed, and longer texts begin with shorter ones", async () => {
    const short = await sample(fakeModel(), { ...options, chunks: 3 });
    const long = await sample(fakeModel(), { ...options, chunks: 50 });
    expect(long.tokens.ids.subarray(0, 48)).toEqual(short.tokens.ids);
    const hashOf = async (seed: number) => hashIds((await sample(fakeModel(), { ...options, seed })).tokens.ids);
    expect(await hashOf(5)).toBe(await hashOf(5));
    expect(await hashOf(6)).not.toBe(await hashOf(5));
  });

  it("comes from the cache the next time, unless the cache is damaged or of another model", async () => {
    const first = await sample(fakeModel(), options, kept());
    const again = fakeModel();
    expect((await sample(again, options, kept())).tokens).toEqual(first.tokens);
    expect(again.calls).toEqual([]);
    const other = fakeModel();
    await sample(other, options, kept(), "another");
    expect(other.calls.length).toBeGreaterThan(0);
    const onGpu = fakeModel();
    await sampleText(onGpu, named("model"), options, testBench(engineOf([]), kept()));
    expect(onGpu.calls.length).toBeGreaterThan(0);
    for (const name of await readdir(join(dir, "text"))) await truncate(join(dir, "text", name), 100);
    const resampled = fakeModel();
    expect((await sample(resampled, options, kept())).tokens).toEqual(first.tokens);
    expect(resampled.calls.length).toBeGreaterThan(0);
  });

  it("is not taken from the cache with ids outside the vocabulary", async () => {
    await sample(fakeModel({ vocabSize: 256 }), options, kept());
    const smaller = fakeModel({ vocabSize: 100 });
    const { tokens } = await sample(smaller, options, kept());
    expect(tokens.ids.every((id) => id < 100)).toBe(true);
  });
});
