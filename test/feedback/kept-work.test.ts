import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Bench, Progress } from "../../src/bench.ts";
import { readSealedParts } from "../../src/disk/sealed-parts.ts";
import { momentAt, momentsLength } from "../../src/engine/child/input-moments.ts";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { EvaluationTokens } from "../../src/engine/engine.ts";
import { collectRange, type InputsRange, inputsKey } from "../../src/feedback/kept-work.ts";
import type { OpenModel } from "../../src/gguf/model.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { testBench } from "../bench.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

const bundled = fileURLToPath(new URL("../../models/books-llama-8m-f16.gguf", import.meta.url));
const CONTEXT = 256;
/** Chunks of the kinds: more than a batch of the second. */
const CHUNKS = [1, 17, 2];

let dir: string;
let engine: EmbeddedEngine;
let source: OpenModel;
let notes: string[];
beforeAll(async () => {
  engine = await openEmbeddedEngine({ threads: 1 });
  source = await openLocalModel(bundled);
});
afterAll(async () => {
  await source.close();
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  if (dir !== undefined) await rm(dir, { recursive: true });
  dir = await mkdtemp(join(tmpdir(), "prism-kept-work-"));
  notes = [];
});

const kinds = CHUNKS.map((chunks, kind): EvaluationTokens => {
  const ids = Int32Array.from({ length: chunks * CONTEXT }, (_, at) => (at * at + 31 * at + kind) % 4000);
  return { context: CONTEXT, chunks, ids };
});
const weights = ["attn_q", "attn_k", "ffn_down"].map((name) => ({ name: `blk.0.${name}.weight`, columns: 768 }));
const range: InputsRange = { kinds, weights };

function bench(overrides: Partial<Omit<Bench, "engine">> = {}, steps: Progress["steps"] = () => undefined): Bench {
  const progress = { note: (text: string) => notes.push(text), steps };
  return testBench(engine, { cache: { dir, logitsLimitBytes: 1e9 }, progress, ...overrides });
}

/** Sum the inputs. Returns counts of chunks that progress told. */
async function collect(overrides: Partial<Omit<Bench, "engine">> = {}, onDone: (done: number) => void = () => {}) {
  const told: number[] = [];
  const at = bench(overrides, (_, done) => {
    told.push(done);
    onDone(done);
  });
  const loaded = await engine.library.load({ model: bundled, context: CONTEXT, threads: 1, gpuLayers: 0 });
  try {
    const seen = await collectRange(loaded, source, range, "inputs", at);
    expect([...seen].sort()).toEqual(weights.map(({ name }) => name).sort());
  } finally {
    await loaded.close();
  }
  return told;
}

const kept = async () => join(dir, "inputs", await inputsKey(source, range, bench()));

it("sums are taken from the cache", async () => {
  await collect();
  expect(notes).toEqual([]);
  const whole = await readFile(await kept());
  expect(await collect()).toEqual([]);
  expect(notes).toEqual(["using sums of inputs from the cache"]);
  expect((await readFile(await kept())).equals(whole)).toBe(true);
});

it("a pass that was killed goes on with the kind it was at", async () => {
  await collect();
  const whole = await readFile(await kept());
  await rm(await kept());
  notes = [];
  const stop = new AbortController();
  await expect(collect({ signal: stop.signal }, (done) => done > 1 && stop.abort("enough"))).rejects.toBe("enough");
  expect(await readdir(join(dir, "inputs"))).toHaveLength(1);
  const told = await collect();
  expect(notes).toEqual(["using sums of inputs from the cache, of 1 of 3 kinds of text"]);
  expect(Math.min(...told)).toBeGreaterThan(1);
  expect((await readFile(await kept())).equals(whole)).toBe(true);
});

it("every token of every kind is summed, as llama-imatrix sums it", async () => {
  await collect();
  const sums: Float32Array[] = [];
  const content = await readSealedParts<{ moments: [string, number][] }>(
    await kept(),
    ({ moments }) =>
      moments.flatMap(([, length]) => {
        const each = [0, 1].map(() => new Float32Array(momentsLength(length)));
        sums.push(...each);
        return each.map(({ buffer }) => new Uint8Array(buffer));
      }),
    () => undefined,
  );
  const loaded = await engine.library.load({ model: bundled, context: CONTEXT, threads: 1, gpuLayers: 0 });
  const ids = Int32Array.from(kinds.flatMap((kind) => [...kind.ids]));
  const importance = await loaded.importance({ tokens: { context: CONTEXT, chunks: ids.length / CONTEXT, ids } });
  await loaded.close();
  expect(content?.moments.map(([key]) => key)).toEqual(["blk.0.attn_q.weight", "blk.0.ffn_down.weight"]);
  for (const [index, [key, length]] of (content?.moments ?? []).entries()) {
    const [fitted, held] = sums.slice(2 * index) as [Float32Array, Float32Array];
    const squares = importance.get(key)?.sums as Float32Array;
    expect(squares.length).toBe(length);
    for (const [j, square] of squares.entries()) {
      const sum = momentAt(fitted, length, j, j) + momentAt(held, length, j, j);
      expect(Math.abs(sum - square)).toBeLessThan(1e-4 * square);
    }
  }
});

it("damaged sums are made again", async () => {
  await collect();
  const whole = await readFile(await kept());
  const damaged = Buffer.from(whole);
  damaged[damaged.length - 9] = (damaged[damaged.length - 9] as number) ^ 4;
  await writeFile(await kept(), damaged);
  notes = [];
  await collect();
  expect(notes).toEqual([expect.stringMatching(/is damaged \(its checksum is another\): made again/)]);
  expect((await readFile(await kept())).equals(whole)).toBe(true);
});

it("are kept nowhere without a cache, and where the limit has no room", async () => {
  await collect({ cache: { logitsLimitBytes: 1e9 } });
  expect([await readdir(dir), notes]).toEqual([[], []]);
  await collect({ cache: { dir, logitsLimitBytes: 1e6 } });
  expect(await readdir(join(dir, "inputs"))).toEqual([]);
  expect(notes).toEqual([expect.stringMatching(/sums of inputs are not kept: they need 0\.0 GB, of half the cache/)]);
  notes = [];
  await writeFile(join(dir, "file"), "no folder");
  await collect({ cache: { dir: join(dir, "file"), logitsLimitBytes: 1e9 } });
  expect(notes).toEqual([expect.stringMatching(/^! the sums of inputs are not kept: .* a file, not a folder/)]);
});

it("other text, bounds, weights and models have other sums", async () => {
  const other = await openLocalModel(await writeRunnable("qwen3", dir));
  const [first, second, third] = kinds as [EvaluationTokens, EvaluationTokens, EvaluationTokens];
  const ids = third.ids.slice();
  ids[5] = 1;
  const joint = Int32Array.from([...first.ids, ...second.ids]);
  const ranges: InputsRange[] = [
    range,
    { ...range, kinds: [first, second] },
    { ...range, kinds: [second, first, third] },
    { ...range, kinds: [first, second, { ...third, ids }] },
    { ...range, kinds: [{ context: CONTEXT, chunks: 18, ids: joint }, third] },
    { ...range, weights: weights.slice(1) },
  ];
  const keys = await Promise.all(ranges.map((each) => inputsKey(source, each, bench())));
  keys.push(await inputsKey(other, range, bench()), await inputsKey(source, range, bench({ gpuLayers: 1 })));
  expect(new Set(keys).size).toBe(keys.length);
  await other.close();
});
