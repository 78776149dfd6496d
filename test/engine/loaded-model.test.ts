import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { EvaluationTokens, LoadedModel, TokenScores } from "../../src/engine/engine.ts";
import { chunkBytes, createLogitsFile, readLogitsFile, scoredTokens } from "../../src/engine/logits-file.ts";
import { EngineError, FormatError } from "../../src/errors.ts";
import { createRandom } from "../../src/random.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { VOCABULARY_TOKENS } from "../fixtures/vocabulary.ts";
import { BOS_KEY, bertFamily, EOS_KEY, writeSmallModel } from "./small-model.ts";

const BOS = 256;
let dir: string;
let engine: EmbeddedEngine;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-loaded-"));
  engine = await openEmbeddedEngine({ threads: 2 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

/** One thread: the threads of tiny models spend their time waiting for each other. */
function load(model: string, context = 64): Promise<LoadedModel> {
  return engine.library.load({ model, context, threads: 1, gpuLayers: 0 });
}

function drawTokens(context: number, chunks: number, seed = 1): EvaluationTokens {
  const random = createRandom(seed);
  const ids = Int32Array.from({ length: context * chunks }, () => Math.floor(random() * 256));
  return { context, chunks, ids };
}

function scoreAll(model: LoadedModel, tokens: EvaluationTokens): Promise<TokenScores> {
  return model.score({ tokens, first: 0, count: tokens.chunks });
}

const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("a loaded model", () => {
  it("tokenizes bytes without special tokens and back", async () => {
    const model = await load(await writeSmallModel(dir, "plain"));
    expect(model).toMatchObject({ vocabSize: VOCABULARY_TOKENS, addBos: false, bos: BOS, contextTrain: 512 });
    const text = "Grüße,\tworld…";
    const ids = await model.tokenize(text);
    expect(ids).toHaveLength(Buffer.byteLength(text));
    expect(await model.detokenize(ids)).toBe(text);
    expect(await model.tokenize("")).toHaveLength(0);
    await model.close();
  });

  it("scores the second half of each chunk, one row per predicted token", async () => {
    const model = await load(await writeSmallModel(dir, "plain"), 33);
    const { nll, kld } = await scoreAll(model, drawTokens(33, 3));
    expect(nll).toHaveLength(3 * scoredTokens(33));
    expect(kld).toBeUndefined();
    expect(mean(nll)).toBeGreaterThan(3);
    await model.close();
  });

  it("puts BOS in each chunk's first place when it decodes, and only there", async () => {
    const tokens = drawTokens(32, 2);
    const replaced = { ...tokens, ids: tokens.ids.map((id, i) => (i % 32 === 0 ? BOS : id)) };
    const add = [{ key: "tokenizer.ggml.add_bos_token", type: "bool", value: true }] as const;
    const plain = await load(await writeSmallModel(dir, "plain"), 32);
    const adding = await load(await writeSmallModel(dir, "adding", { add }), 32);
    expect(adding.addBos).toBe(true);
    expect((await adding.tokenize("ab"))[0]).toBe(BOS);
    const expected = await scoreAll(plain, replaced);
    expect(await scoreAll(adding, tokens)).toEqual(expected);
    expect(await scoreAll(plain, tokens)).not.toEqual(expected);
    await plain.close();
    await adding.close();
  });

  it("leaves out the EOS that an embedding model adds to a text", async () => {
    const add = [{ key: "tokenizer.ggml.add_eos_token", type: "bool", value: true }] as const;
    const model = await load(await writeSmallModel(dir, "ending", { add }));
    expect(await model.tokenize("ab")).toHaveLength(2);
    await model.close();
  });

  it("samples from BOS, the same for the same seed, every sequence its own", async () => {
    const model = await load(await writeSmallModel(dir, "plain"));
    const steps: number[] = [];
    const options = { sequences: 3, length: 12, seed: 7 };
    const first = await model.sample({ ...options, onProgress: (done, total) => steps.push(done / total) });
    expect(await model.sample(options)).toEqual(first);
    expect(await model.sample({ ...options, seed: 8 })).not.toEqual(first);
    expect([first[0], first[12], first[24]]).toEqual([BOS, BOS, BOS]);
    expect(first.subarray(1, 12)).not.toEqual(first.subarray(13, 24));
    expect(steps.at(-1)).toBe(11 / 12);
    await model.close();
  });

  it("samples the same whatever the number of threads", async () => {
    const path = await writeSmallModel(dir, "plain");
    const one = await load(path);
    const two = await engine.library.load({ model: path, context: 64, threads: 2, gpuLayers: 0 });
    const options = { sequences: 4, length: 8, seed: 1 };
    expect(await one.sample(options)).toEqual(await two.sample(options));
    await one.close();
    await two.close();
  });

  it("samples what it finds likelier than tokens drawn at random", async () => {
    const path = await writeSmallModel(dir, "plain");
    const model = await load(path, 64);
    const ids = await model.sample({ sequences: 32, length: 64, seed: 2 });
    const tokens = { context: 64, chunks: 32, ids };
    const { nll } = await scoreAll(model, tokens);
    const random = await scoreAll(model, drawTokens(64, 32));
    expect(mean(nll)).toBeLessThan(Math.log(VOCABULARY_TOKENS));
    expect(mean(random.nll)).toBeGreaterThan(mean(nll) + 0.2);
    await model.close();
  });

  it("samples without BOS from EOS, and without either from the first token", async () => {
    // The tokenizer of RWKV has neither unless the file says so.
    const rwkv = { key: "tokenizer.ggml.model", type: "string", value: "rwkv" } as const;
    const eos = { key: EOS_KEY, type: "u32", value: 10 } as const;
    const separated = await load(await writeSmallModel(dir, "separated", { add: [rwkv, eos], remove: [BOS_KEY] }));
    const bare = await load(await writeSmallModel(dir, "bare", { add: [rwkv], remove: [BOS_KEY, EOS_KEY] }));
    const options = { sequences: 1, length: 2, seed: 1 };
    expect(separated.bos).toBe(-1);
    expect((await separated.sample(options))[0]).toBe(10);
    expect((await bare.sample(options))[0]).toBe(0);
    await separated.close();
    await bare.close();
  });
});

describe("chunks decoded together", () => {
  it.each(["llama", "qwen35", "moe", "gpt2"] as const)("don't see each other: %s", async (kind) => {
    const model = await load(await writeRunnable(kind, dir), 64);
    const tokens = drawTokens(64, 4);
    const together = await scoreAll(model, tokens);
    const rows = scoredTokens(64);
    for (let chunk = 0; chunk < tokens.chunks; chunk++) {
      const alone = await model.score({ tokens, first: chunk, count: 1 });
      const part = together.nll.subarray(chunk * rows, (chunk + 1) * rows);
      expect(Math.abs(mean(alone.nll) / mean(part) - 1)).toBeLessThan(2e-3);
    }
    await model.close();
  });

  it("may be longer than a batch of 2048 tokens", async () => {
    const add = [{ key: "llama.context_length", type: "u32", value: 4096 }] as const;
    const model = await load(await writeSmallModel(dir, "long", { add }), 3000);
    expect(model.chunksPerBatch).toBe(1);
    const { nll } = await scoreAll(model, drawTokens(3000, 2));
    expect(nll).toHaveLength(2 * scoredTokens(3000));
    expect(nll.every(Number.isFinite)).toBe(true);
    await model.close();
  });
});

describe("a comparison", () => {
  it("through a logits file equals the one with the reference loaded beside", async () => {
    const reference = await load(await writeSmallModel(dir, "plain"));
    const model = await load(await writeSmallModel(dir, "other", { seed: 2 }));
    const tokens = drawTokens(64, 40);
    const path = join(dir, "reference.logits");
    await createLogitsFile(path, tokens, VOCABULARY_TOKENS);
    const written = await reference.score({ tokens, first: 0, count: 33, writeLogits: path });
    await reference.score({ tokens, first: 33, count: 7, writeLogits: path });
    expect((await readLogitsFile(path)).tokens).toEqual(tokens);
    const read = await model.score({ tokens, first: 0, count: 40, reference: { logits: path } });
    const beside = await model.score({ tokens, first: 0, count: 40, reference: { loaded: reference } });
    expect(read).toEqual(beside);
    expect(read.nll).toEqual((await scoreAll(model, tokens)).nll);
    expect(mean(read.kld as Float64Array)).toBeGreaterThan(0.05);
    const ownNll = read.referenceNll?.subarray(0, written.nll.length) as Float64Array;
    expect(mean(ownNll)).toBeCloseTo(mean(written.nll), 4);
    await reference.close();
    await model.close();
  });

  it("of a model with itself finds no divergence", async () => {
    const reference = await load(await writeRunnable("llama", dir));
    const { kld, sameTop } = await scoreAllAgainst(reference, reference, drawTokens(64, 8));
    expect(Math.abs(mean(kld as Float64Array))).toBeLessThan(1e-5);
    expect(sameTop?.every((same) => same === 1)).toBe(true);
    await reference.close();
  });

  it("notices a logits file that ends inside the chunk asked for", async () => {
    const model = await load(await writeSmallModel(dir, "plain"));
    const tokens = drawTokens(64, 2);
    const path = join(dir, "cut.logits");
    await createLogitsFile(path, tokens, VOCABULARY_TOKENS);
    await model.score({ tokens, first: 0, count: 2, writeLogits: path });
    const whole = (await readFile(path)).length;
    await truncate(path, whole - 1);
    const second = { tokens, first: 1, count: 1, reference: { logits: path } };
    await expect(model.score(second)).rejects.toThrow(/ends inside a chunk's logits/);
    await truncate(path, whole - chunkBytes(64, VOCABULARY_TOKENS));
    expect((await model.score({ ...second, first: 0 })).kld).toHaveLength(scoredTokens(64));
    await model.close();
  });

  it("refuses a reference of another vocabulary", async () => {
    const small = await load(await writeSmallModel(dir, "plain"));
    const other = await load(new URL("../../models/books-llama-8m-f16.gguf", import.meta.url).pathname);
    await expect(scoreAllAgainst(small, other, drawTokens(64, 1))).rejects.toThrow(/can't be compared/);
    await small.close();
    await other.close();
  });

  it("of calls made at the same time gives what it gives one after another", async () => {
    const model = await load(await writeSmallModel(dir, "plain"));
    const texts = [1, 2, 3].map((seed) => drawTokens(64, 8, seed));
    const together = await Promise.all(texts.map((tokens) => scoreAll(model, tokens)));
    for (const [i, tokens] of texts.entries()) expect(together[i]).toEqual(await scoreAll(model, tokens));
    await model.close();
  });
});

function scoreAllAgainst(model: LoadedModel, reference: LoadedModel, tokens: EvaluationTokens): Promise<TokenScores> {
  return model.score({ tokens, first: 0, count: tokens.chunks, reference: { loaded: reference } });
}

describe("a model that can't be evaluated", () => {
  it("with NaN among its weights is a FormatError, as model and as reference, and samples nothing", async () => {
    const damaged = await load(await writeRunnable("llama", dir, { nan: true }));
    const sound = await load(await writeRunnable("llama", dir));
    await expect(scoreAll(damaged, drawTokens(64, 1))).rejects.toThrow(FormatError);
    await expect(scoreAll(damaged, drawTokens(64, 1))).rejects.toThrow(/llama-nan\.gguf.*NaN or infinite/);
    await expect(scoreAllAgainst(sound, damaged, drawTokens(64, 1))).rejects.toThrow(/reference it is compared with/);
    await expect(damaged.sample({ sequences: 1, length: 4, seed: 1 })).rejects.toThrow(
      /llama-nan\.gguf.*NaN or infinite/,
    );
    const sampled = damaged.sampledImportance({ chunks: 1, together: 1, context: 4, seed: 1 });
    await expect(sampled).rejects.toThrow(/llama-nan\.gguf.*NaN or infinite/);
    await damaged.close();
    await sound.close();
  });

  it("because it is an encoder says so, whether scored or sampled", async () => {
    const model = await load(await writeSmallModel(dir, "bert", { family: bertFamily() }));
    await expect(scoreAll(model, drawTokens(64, 1))).rejects.toThrow(/an encoder or embedding model/);
    await expect(model.sample({ sequences: 1, length: 4, seed: 1 })).rejects.toThrow(/an encoder or embedding model/);
    await model.close();
  });

  it("because its file is garbage, cut short or absent is an EngineError with llama.cpp's reason", async () => {
    const garbage = join(dir, "garbage.gguf");
    await writeFile(garbage, Buffer.alloc(4096, "not a model "));
    await expect(load(garbage)).rejects.toThrow(/could not load .*garbage\.gguf[\s\S]*magic/);
    const cut = await writeSmallModel(dir, "cut");
    const { length } = await readFile(cut);
    for (const kept of [0, 3, 100, Math.floor(length / 2), length - 200]) {
      await truncate(await writeSmallModel(dir, "cut"), kept);
      await expect(load(cut)).rejects.toBeInstanceOf(EngineError);
    }
    await expect(load(join(dir, "absent.gguf"))).rejects.toThrow(/could not load[\s\S]*No such file|could not load/);
  });

  it("because its architecture is unknown says which", async () => {
    const family = { ...bertFamily(), arch: "no-such-arch" };
    await expect(load(await writeSmallModel(dir, "unknown", { family }))).rejects.toThrow(/no-such-arch/);
  });
});
