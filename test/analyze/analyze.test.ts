import { beforeAll, describe, expect, test } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { readAnalysis } from "../../src/analyze/analysis-document.ts";
import { type AnalyzeRequest, analyze } from "../../src/analyze/analyze.ts";
import type { Bench, Progress } from "../../src/bench.ts";
import { FormatError } from "../../src/errors.ts";
import { referenceBackend } from "../../src/kernels/reference.ts";
import { createNormal, createRandom } from "../../src/random.ts";
import { testBench } from "../bench.ts";
import { blockEngine, f32Tensor, facts, type MemoryTensor, memoryModel } from "./model-in-memory.ts";

const backend = referenceBackend();

interface Options
  extends AnalyzeRequest,
    Partial<Pick<Bench, "engine" | "threads" | "seed" | "memoryBytes" | "signal">> {
  readonly onSteps?: (done: number, total: number) => void;
}

function run(
  tensors: readonly MemoryTensor[],
  { engine = blockEngine(), threads = 2, seed = 1, memoryBytes, signal, onSteps, ...request }: Options = {},
  reads: number[] = [],
): Promise<Analysis> {
  const progress: Progress = { note: () => undefined, steps: (_, done, total) => onSteps?.(done, total) };
  const bench = testBench(engine, { backend: async () => backend, threads, seed, progress });
  const limits = { ...(memoryBytes && { memoryBytes }), ...(signal && { signal }) };
  return analyze(memoryModel(tensors, reads), request, { ...bench, ...limits });
}

/** Gaussian weights whose scale differs from row to row. */
function gaussian(name: string, shape: readonly number[], seed: number): MemoryTensor {
  const normal = createNormal(createRandom(seed));
  return f32Tensor(name, shape, (index) => normal() * (1 + (Math.floor(index / (shape[0] ?? 1)) % 7)));
}

const TENSORS = [
  gaussian("token_embd.weight", [64, 1200], 1),
  gaussian("blk.0.attn_q.weight", [256, 64], 2),
  gaussian("blk.0.ffn_down.weight", [64, 900], 3),
  gaussian("blk.1.ffn_down.weight", [64, 900], 4),
  gaussian("blk.1.ffn_up_exps.weight", [64, 30, 12], 5),
  gaussian("output_norm.weight", [64], 6),
];

const withoutClock = ({ createdAt, sampling: { elapsedMs, ...sampling }, ...rest }: Analysis) => ({
  ...rest,
  sampling,
});

describe("an analysis", () => {
  let analysis: Analysis;
  beforeAll(async () => {
    analysis = await run(TENSORS);
  });
  const tensor = (name: string) => analysis.tensors.find((each) => each.name === name);

  test("has every tensor in file order and is a valid document", () => {
    expect(analysis.tensors.map(({ name }) => name)).toEqual(TENSORS.map(({ name }) => name));
    expect(readAnalysis(JSON.stringify(analysis), "a.json")).toEqual(analysis);
  });

  test("takes no more layers than a file has tensors, whatever its block_count says", async () => {
    const model = memoryModel([gaussian("blk.0.ffn_down.weight", [64, 900], 3)]);
    const damaged = await analyze(
      { ...model, facts: { ...facts, layers: 2 ** 40 } },
      {},
      testBench(blockEngine(), { backend: async () => backend }),
    );
    expect(damaged.tensors[0]?.metrics?.spectralPosition).toBe(0);
  });

  test("says why a tensor is left alone", () => {
    expect(tensor("output_norm.weight")).toMatchObject({ eligible: false, ineligibleReason: "one-dimensional" });
    expect(tensor("output_norm.weight")?.distortion).toBeUndefined();
  });

  test("has metrics and the distortion of every candidate type", () => {
    expect(tensor("blk.0.attn_q.weight")?.metrics?.alphaHill?.value).toBeGreaterThan(1);
    expect(Object.keys(tensor("blk.0.attn_q.weight")?.distortion ?? {})).toEqual([
      ..."Q2_K Q3_K IQ3_S IQ4_XS IQ4_NL Q4_K Q5_K Q6_K Q8_0 F16".split(" "),
    ]);
    expect(tensor("blk.0.ffn_down.weight")?.metrics?.spectralPosition).toBeCloseTo(0.25, 1);
    expect(tensor("token_embd.weight")?.metrics?.spectralPosition).toBe(1);
  });

  test("is exact where all rows were read, and has a standard error where not", () => {
    expect(tensor("blk.0.attn_q.weight")).toMatchObject({ rows: 64, rowsRead: 64 });
    expect(tensor("blk.0.attn_q.weight")?.distortion?.Q4_K?.se).toBe(0);
    expect(tensor("token_embd.weight")?.rowsRead).toBeLessThan(1200);
    const { value, se } = tensor("token_embd.weight")?.distortion?.Q4_0 ?? { value: 0, se: 0 };
    expect(se).toBeGreaterThan(0);
    expect(se).toBeLessThanOrEqual(0.02 * value);
  });

  test("reads each sampled row once", async () => {
    const reads: number[] = [];
    const again = await run(TENSORS.slice(0, 1), { targetRelativeSe: 1 }, reads);
    expect(again.sampling.bytesRead).toBe(256 * 64 * 4);
    expect(reads.reduce((a, b) => a + b)).toBe(again.sampling.bytesRead);
  });

  test("does not depend on the number of threads or on who finishes first", async () => {
    let turn = 0;
    const slow = blockEngine(() => new Promise((resolve) => setTimeout(resolve, (turn++ * 7) % 20)));
    for (const threads of [1, 5]) {
      expect(withoutClock(await run(TENSORS, { threads, engine: slow }))).toEqual(withoutClock(analysis));
    }
  });

  test("depends on the seed where rows are sampled", async () => {
    const other = await run(TENSORS, { seed: 2 });
    expect(other.tensors[0]?.distortion).not.toEqual(analysis.tensors[0]?.distortion);
    expect(other.tensors[1]?.distortion).toEqual(analysis.tensors[1]?.distortion);
  });

  test("with exact distortion lies near the sampled one and has no standard error", async () => {
    const exact = await run(TENSORS, { exactDistortion: true, exactMetrics: true });
    const alone = await run(TENSORS, { exactDistortion: true });
    expect(alone.tensors.map(({ distortion }) => distortion)).toEqual(
      exact.tensors.map(({ distortion }) => distortion),
    );
    for (const [index, { name, distortion }] of exact.tensors.entries()) {
      for (const [type, { value, se }] of Object.entries(distortion ?? {})) {
        const sampled = analysis.tensors[index]?.distortion?.[type as "Q8_0"] ?? { value: 0, se: 0 };
        expect(se).toBe(0);
        expect(Math.abs(value - sampled.value), `${name} ${type}`).toBeLessThanOrEqual(5 * sampled.se + 1e-12 * value);
      }
    }
    expect(exact.tensors[0]?.rowsRead).toBe(1200);
    expect(exact.sampling).toMatchObject({ exactMetrics: true, exactDistortion: true });
  });

  test("with exact metrics reads every weight, and none twice for the distortion of the same rows", async () => {
    const exact = await run(TENSORS, { exactMetrics: true });
    expect(exact.tensors.map(({ distortion }) => distortion)).toEqual(
      analysis.tensors.map(({ distortion }) => distortion),
    );
    for (const { eligible, rows, rowsRead } of exact.tensors) if (eligible) expect(rowsRead).toBe(rows);
    const bytes = exact.tensors.map(({ eligible, elements }) => (eligible ? 4 * elements : 0));
    expect(exact.sampling.bytesRead).toBe(bytes.reduce((sum, some) => sum + some, 0));
  });

  test("samples on until a stricter target is met, or all rows are read", async () => {
    const strict = await run(TENSORS, { targetRelativeSe: 0.004 });
    for (const { name, distortion, rows, rowsRead } of strict.tensors) {
      if (!distortion) continue;
      const worst = Math.max(...Object.values(distortion).map(({ value, se }) => (value > 1e-6 ? se / value : 0)));
      expect(worst <= 0.004 || rowsRead === rows, name).toBe(true);
    }
    expect(strict.sampling.bytesRead).toBeGreaterThan(analysis.sampling.bytesRead);
  });
});

describe("an imatrix", () => {
  const identity = {
    path: "i.gguf",
    sha256: "00",
    file: "i.gguf",
    dataset: "t",
    entries: 1,
    chunks: 1,
    unseen: new Map(),
  };
  const outlier = f32Tensor("blk.0.ffn_up_exps.weight", [32, 8, 2], (index) =>
    index % 32 === 0 ? 1000 : (index % 5) - 2,
  );

  test("weights each expert by its own values", async () => {
    const values = Float32Array.from({ length: 64 }, (_, index) => (index === 0 ? 0 : 1));
    const importance = new Map([["blk.0.ffn_up_exps.weight", values]]);
    const plain = (await run([outlier])).tensors[0];
    const weighted = (await run([outlier], { imatrix: { ...identity, importance } })).tensors[0];
    expect(weighted?.importance).toBe("used");
    expect(plain?.importance).toBeUndefined();
    // without the outlier of the first expert its small weights are lost relative to themselves, not to 1000
    expect(weighted?.distortion?.Q4_0?.value).toBeGreaterThan(1.5 * (plain?.distortion?.Q4_0?.value ?? 0));
  });

  test("is noted as missing or mismatched, and refused where it is of another model", async () => {
    const embedding = gaussian("token_embd.weight", [32, 8], 1);
    const importance = new Map([
      ["blk.0.ffn_up_exps.weight", new Float32Array(64).fill(1)],
      ["token_embd.weight", new Float32Array(5).fill(1)],
    ]);
    const up = gaussian("blk.0.ffn_up.weight", [32, 8], 2);
    const { tensors } = await run([embedding, up, outlier], { imatrix: { ...identity, importance } });
    expect(tensors.map((each) => each.importance)).toEqual(["mismatch", "missing", "used"]);
    await expect(run([up], { imatrix: { ...identity, importance } })).rejects.toThrow(/imatrix of another model/);
  });
});

describe("unusual weights", () => {
  test.each([
    ["NaN", Number.NaN],
    ["infinity", Number.NEGATIVE_INFINITY],
  ])("%s is an error with the tensor's name, the count and a remedy", async (_, value) => {
    const broken = f32Tensor("blk.0.ffn_up.weight", [64, 40], (index) => (index === 70 || index === 900 ? value : 1));
    const act = run([...TENSORS, broken]);
    await expect(act).rejects.toThrow(FormatError);
    await expect(act).rejects.toThrow(/blk\.0\.ffn_up\.weight: 2 of 2560 weights read are NaN or infinite.*again/);
  });

  test("a tensor of zeros has D = 0 for every type and is flagged", async () => {
    const { tensors } = await run([f32Tensor("blk.0.ffn_up.weight", [64, 1000], () => 0)]);
    expect(tensors[0]).toMatchObject({ powerless: true, rowsRead: 1000 });
    expect(Object.values(tensors[0]?.distortion ?? {})).toHaveLength(7);
    for (const estimate of Object.values(tensors[0]?.distortion ?? {})) expect(estimate).toEqual({ value: 0, se: 0 });
  });

  test("a type that overflows is no candidate", async () => {
    const { tensors } = await run([f32Tensor("blk.0.ffn_up.weight", [64, 40], (index) => 1e6 + index)]);
    expect(tensors[0]?.distortion?.F16).toBeUndefined();
    expect(tensors[0]?.distortion?.Q8_0?.value).toBeGreaterThan(0);
  });

  test("a quantized source has distortion but no metrics, and none in its own type", async () => {
    const data = Uint8Array.from({ length: 40 * 68 }, (_, index) => (index * 37) % 251);
    const { tensors } = await run([{ name: "blk.0.ffn_up.weight", shape: [64, 40], type: "Q8_0", data }]);
    expect(tensors[0]?.metrics).toBeUndefined();
    expect(tensors[0]?.omitted).toMatchObject({
      alphaHill: "source is quantized",
      spectralPosition: "source is quantized",
    });
    expect(tensors[0]?.distortion?.Q4_0?.value).toBeGreaterThan(0);
    expect(tensors[0]?.distortion?.Q8_0).toEqual({ value: 0, se: 0 });
  });
});

describe("progress and abort", () => {
  test("progress counts the tensors that are measured", async () => {
    const calls: [number, number][] = [];
    await run(TENSORS, { onSteps: (done, total) => calls.push([done, total]) });
    expect(calls).toEqual([1, 2, 3, 4, 5].map((done) => [done, 5]));
  });

  test("an abort ends the analysis at once, while the engine is still busy", async () => {
    const controller = new AbortController();
    const stuck = blockEngine(() => {
      controller.abort();
      return new Promise(() => {});
    });
    await expect(run(TENSORS, { engine: stuck, signal: controller.signal })).rejects.toMatchObject({
      name: "AbortError",
    });
  });

  test("an aborted signal reads nothing", async () => {
    const reads: number[] = [];
    await expect(run(TENSORS, { signal: AbortSignal.abort() }, reads)).rejects.toMatchObject({ name: "AbortError" });
    expect(reads).toEqual([]);
  });

  test("an engine's error is the analysis's error, and the other tensors are given up", async () => {
    const jobs: unknown[] = [];
    const failing = blockEngine(async (job) => {
      jobs.push(job);
      throw new Error("no more memory");
    });
    await expect(run(TENSORS, { engine: failing, threads: 1 })).rejects.toThrow("no more memory");
    expect(jobs.length).toBeLessThanOrEqual(2);
  });
});
