import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { abortIn, refusalIn } from "../../src/engine/try-load.ts";
import { writeGguf } from "../../src/gguf/writer.ts";
import { readArchitecture, whyNoHoles } from "../fixtures/architectures.ts";
import { DAMAGED, writeEdited, writeTwinTokens } from "../fixtures/damaged.ts";
import { u32 } from "../fixtures/families.ts";
import { type RunnableKind, writeRunnable } from "../fixtures/runnable.ts";

const dir = await mkdtemp(join(tmpdir(), "prism-try-load-"));
const noHoles = await whyNoHoles(dir);
let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

const tryLoad = (model: string, decode: boolean) => engine.library.tryLoad({ model, decode, threads: 1 });

describe.each([false, true])("with a decode: %s", (decode) => {
  it.each<RunnableKind>(["llama", "qwen35-mtp", "moe", "split", "reranker", "cross-encoder", "embedder"])(
    "%s loads",
    async (kind) => {
      expect(await tryLoad(await writeRunnable(kind, dir), decode)).toEqual({ loads: true });
    },
  );

  it("what llama.cpp refuses, it says why, without the names of its functions", async () => {
    const path = await writeEdited("llama", dir, { set: [u32("llama.feed_forward_length", 576)] });
    expect(await tryLoad(path, decode)).toEqual({
      loads: false,
      aborted: false,
      why: "tensor 'blk.0.ffn_gate.weight' has wrong shape; expected 256, 576, got 256, 512, 1, 1",
    });
  });

  it("a failed assert is an answer, and what is loaded meanwhile stays loaded", async () => {
    const loaded = await engine.library.load({
      model: "models/books-llama-8m-f16.gguf",
      context: 64,
      threads: 1,
      gpuLayers: 0,
    });
    expect(await tryLoad(await writeTwinTokens(dir), decode)).toEqual({
      loads: false,
      aborted: true,
      why: expect.stringMatching(/^llama-vocab\.cpp:\d+: GGML_ASSERT\(id_to_token.*\) failed$/),
    });
    expect((await loaded.tokenize("a book")).length).toBeGreaterThan(0);
    await loaded.close();
  });
});

it("a header that can't be read: the line that names the tensor", async () => {
  expect(await tryLoad(await DAMAGED["tensor-data-gap"](dir), false)).toMatchObject({
    loads: false,
    why: expect.stringMatching(/^tensor '.*' has offset \d+, expected \d+$/),
  });
});

it.skipIf(noHoles !== undefined)("without a decode no weights are read: 1.9 TB cost what the header does", async () => {
  const { keyValues, tensors } = readArchitecture("Kimi-K2-Thinking");
  const path = join(dir, "large.gguf");
  // as many rows as the vocabulary of the fixtures has tokens
  const fitting = tensors.map((tensor) =>
    /^(token_embd|output)\.weight$/.test(tensor.name) ? { ...tensor, shape: [tensor.shape[0] as number, 257] } : tensor,
  );
  await writeGguf(path, { keyValues, tensors: fitting });
  const start = performance.now();
  expect(await tryLoad(path, false)).toEqual({ loads: true });
  expect(performance.now() - start).toBeLessThan(20_000);
  await rm(path);
});

it("an abort of the caller is the caller's reason", async () => {
  const stop = new AbortController();
  const model = await writeRunnable("llama", dir);
  const asked = engine.library.tryLoad({ model, decode: true, threads: 1, signal: stop.signal });
  stop.abort(new Error("enough"));
  await expect(asked).rejects.toThrow("enough");
});

it("the words of a log", () => {
  const end = "llama_model_load_from_file_impl: failed to load model";
  expect(refusalIn(["llama_model_load: error loading model: error loading model vocabulary: no vocab", end])).toBe(
    "no vocab",
  );
  expect(refusalIn(["llama_init_from_model: failed to initialize the context: no memory"])).toBe("no memory");
  expect(refusalIn(["decode: failed to find a slot"])).toBe("decode: failed to find a slot");
  expect(refusalIn(["load_backend: loaded CPU backend"])).toBeUndefined();
  expect(abortIn(["C:\\a\\ggml\\src\\ggml.c:12: GGML_ASSERT(a == b) failed", "  "])).toBe(
    "ggml.c:12: GGML_ASSERT(a == b) failed",
  );
  expect(abortIn(["terminate called after throwing", "  what():  vector::_M_default_append"])).toBe(
    "vector::_M_default_append",
  );
});
