import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { openModel } from "../../src/gguf/open.ts";
import { chooseMeasures } from "../../src/run/measures.ts";
import type { RunRow } from "../../src/run/run-document.ts";
import { judgeRows, MIN_QUERIES, outcome } from "../../src/run/verdict.ts";
import { type RunnableKind, writeRunnable } from "../fixtures/runnable.ts";
import { paperEngine } from "./paper-engine.ts";

const QUERIES = 16;

/** |Δscore| of `mean` with some spread between queries, the same for every row. */
function row(label: string, kind: RunRow["kind"], fileBytes: number, mean: number, queries = QUERIES): RunRow {
  const perQuery = Array.from({ length: queries }, (_, query) => mean * (0.9 + (0.2 * query) / queries));
  const rerank = {
    meanAbsDelta: { value: mean, se: mean / 20 },
    maxAbsDelta: mean * 2,
    top1Agreement: 80,
    moved: 3,
    perQuery,
  };
  return { label, kind, fileBytes, bpw: 4, rerank };
}

describe("the verdict of a reranker's run", () => {
  const plan = row("plan", "plan", 1000, 0.02);

  it("goes by |Δscore| paired over the queries, also where there is a KL divergence that says otherwise", () => {
    const kld = (mean: number) => ({ kld: { mean, se: mean / 100, median: mean, p99: mean, max: mean } });
    const better = { ...plan, ...kld(0.5) };
    const worse = { ...row("Q3_K_M", "preset", 1000, 0.04), ...kld(0.1) };
    expect(outcome(better, worse, 100)).toBe("wins");
    expect(outcome(worse, better, 100)).toBe("loses");
    const [judged, other] = judgeRows([better, worse], 100);
    expect(judged?.verdict).toBe("by the scores of documents the plan beats Q3_K_M");
    expect(other?.rerankMinusPlan?.value).toBeCloseTo(0.02 * 0.99375, 6);
  });

  it("needs no chunks, but queries enough", () => {
    expect(outcome(plan, row("a", "uniform", 1000, 0.04), 0)).toBe("wins");
    const few = MIN_QUERIES - 1;
    const [judged] = judgeRows([row("plan", "plan", 1000, 0.02, few), row("a", "uniform", 1000, 0.04, few)], 0);
    expect(judged?.verdict).toBe(`only ${few} queries were ranked: no verdict under ${MIN_QUERIES}`);
  });
});

describe("what a run measures", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "prism-measures-"));
  });
  afterAll(() => rm(dir, { recursive: true }));

  const programs: Engine = {
    info: { kind: "programs", version: "", origin: "", devices: [] },
    quantize: () => Promise.reject(new Error("nothing is quantized")),
    close: () => Promise.resolve(),
    programs: {
      perplexity: () => Promise.reject(new Error("nothing is evaluated")),
      imatrix: () => Promise.reject(new Error("nothing is evaluated")),
    },
  };
  const measures = async (
    kind: RunnableKind,
    asked: Parameters<typeof chooseMeasures>[2] = {},
    engine: Engine = paperEngine(),
  ) => {
    const file = await openModel(await writeRunnable(kind, dir));
    await file.close();
    return chooseMeasures(file, engine, asked);
  };

  it("is known by the model: text, ranking, or both", async () => {
    expect(await measures("llama")).toEqual({ text: true, rerank: false, embeddings: false });
    expect(await measures("reranker")).toEqual({ text: false, rerank: true, embeddings: false });
    expect(await measures("cross-encoder")).toEqual({ text: false, rerank: true, embeddings: false });
    expect(await measures("causal-reranker")).toEqual({ text: true, rerank: true, embeddings: false });
    expect(await measures("causal-reranker", {}, programs)).toEqual({
      text: true,
      rerank: false,
      embeddings: false,
    });
    expect(await measures("embedder")).toEqual({ text: false, rerank: false, embeddings: true });
    expect(await measures("qwen3-embedder")).toEqual({ text: false, rerank: false, embeddings: true });
    await expect(measures("embedder", {}, programs)).rejects.toThrow(/can't be asked for vectors/);
  });

  it("says that a text is not used where documents alone are, and ranks with any model where a set is given", async () => {
    const { warnings, ...chosen } = await measures("reranker", { text: "a.txt", chunks: 5 });
    expect(chosen).toEqual({ text: false, rerank: true, embeddings: false });
    expect(warnings).toEqual([
      expect.stringMatching(/^--text and --chunks not used: .*reranker\.gguf ranks with a head/),
    ]);
    expect(await measures("llama", { rerankSet: "set.jsonl" })).toEqual({
      text: true,
      rerank: true,
      embeddings: false,
    });
    const asked = measures("causal-reranker", { rerankSet: "set.jsonl" }, programs);
    await expect(asked).rejects.toThrow(/programs score no documents/);
  });

  it("refuses a sweep of a model without a KL divergence", async () => {
    const sweep = [{ kind: "bpw", value: 3 }] as const;
    await expect(measures("reranker", { sweep })).rejects.toThrow(/ranks with a head of its own/);
  });
});
