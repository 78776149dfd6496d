/**
 * Rerankers that read images, through a llama-server with a projector: the random models of test/fixtures, over pictures
 * that are drawn here. Whether the same is scored the same twice, in another order and after a restart, how far pictures
 * move scores, what a projector of 8 bits changes, and what the embedded engine gives, where libmtmd is built.
 * `npx tsx bench/image-ranking.ts --server-bin PATH [--threads 1] [--record]` (after `npm run build`).
 */
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Bench } from "../src/bench.ts";
import { openModel } from "../src/gguf/open.ts";
import { openBench } from "../src/open-bench.ts";
import { hasRankHead } from "../src/preflight/rank-head.ts";
import { openServerScorer } from "../src/rerank/llama-server.ts";
import type { RankContent } from "../src/rerank/rank-content.ts";
import { openRerankScorer, type RerankScorer } from "../src/rerank/rerank-scorer.ts";
import { type RerankSet, readRerankSet } from "../src/rerank/rerank-set.ts";
import { describeReranker } from "../src/rerank/reranker.ts";
import { barChart, gradient } from "../test/fixtures/pictures.ts";
import { writeRunnable } from "../test/fixtures/runnable.ts";
import { serverProgram, withLlamaServer } from "./llama-server.ts";
import { recordResult } from "./results.ts";

const KINDS = ["causal-qwen3vl-reranker", "qwen3vl-reranker"] as const;
const PICTURES = {
  "rising.png": barChart(192, 128, [0.2, 0.4, 0.6, 0.9]),
  "falling.png": barChart(192, 128, [0.9, 0.6, 0.4, 0.2]),
  "red.png": gradient(128, 128, [255, 0, 0]),
  "blue.png": gradient(128, 128, [0, 0, 255]),
  "tall.png": gradient(64, 320, [40, 200, 90]),
} as const;
const TEXTS = ["sales by month", "a sunset"];

const { values } = parseArgs({
  options: {
    "server-bin": { type: "string" },
    threads: { type: "string", default: "1" },
    record: { type: "boolean", default: false },
  },
});
const program = serverProgram(values["server-bin"]);
if (program !== undefined) await measureAll(program, Number(values.threads));

async function measureAll(server: string, threads: number): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "prism-images-"));
  const bench = await openBench({ threads });
  const figures: Record<string, object> = {};
  try {
    const set = await writeSet(dir);
    const projectors = await writeProjectors(dir, bench);
    for (const kind of KINDS) {
      figures[kind] = await measure({ server, model: await writeRunnable(kind, dir), projectors, set, bench });
      console.log(kind, figures[kind]);
    }
    if (values.record) console.log(`added to ${await recordResult({ bench: "image-ranking", figures })}`);
  } finally {
    await bench.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Queries of texts and of a picture; each picture alone and with a text. */
async function writeSet(dir: string): Promise<RerankSet> {
  for (const [name, bytes] of Object.entries(PICTURES)) await writeFile(join(dir, name), bytes);
  const documents = [
    ...TEXTS,
    ...Object.keys(PICTURES).flatMap((image) => [{ image }, ...TEXTS.map((text) => ({ image, text }))]),
  ];
  const lines = [...TEXTS, { image: "red.png" }].map((query) => JSON.stringify({ query, documents }));
  await writeFile(join(dir, "set.jsonl"), lines.join("\n"));
  return readRerankSet(join(dir, "set.jsonl"));
}

interface Projectors {
  readonly f16: string;
  readonly q8: string;
}

/** The positions are interpolated, which ggml does for F32 only. */
async function writeProjectors(dir: string, { engine, threads }: Bench): Promise<Projectors> {
  const f16 = await writeRunnable("qwen3vl-mmproj", dir);
  const made = join(dir, "made.gguf");
  const overrides = [{ pattern: "v\\.position_embd\\.weight", type: "F32" as const }];
  await engine.quantize({ source: f16, output: made, fileType: "Q8_0", overrides, threads });
  const q8 = join(dir, "mmproj-q8_0.gguf");
  await rename(made, q8);
  return { f16, q8 };
}

interface Measured {
  readonly server: string;
  readonly model: string;
  readonly projectors: Projectors;
  readonly set: RerankSet;
  readonly bench: Bench;
}

async function measure({ server, model, projectors, set, bench }: Measured): Promise<object> {
  const file = await openModel(model);
  await file.close();
  const reranker = describeReranker(file.model);
  const head = hasRankHead(file.model);
  const withProjector = <Result>(projector: string, work: (scorer: RerankScorer) => Promise<Result>) => {
    const flags = ["--mmproj", projector, "--parallel", "1", "--ctx-size", "1024", ...(head ? ["--reranking"] : [])];
    return withLlamaServer({ program: server, model, threads: bench.threads, flags }, async (address) =>
      work(await openServerScorer({ server: address, reranker, signal: bench.signal })),
    );
  };
  const { engine } = bench;
  const { scores, again, reversed, texts } = await withProjector(projectors.f16, async (scorer) => ({
    scores: await scoresOf(scorer, set.queries),
    reversed: await scoresOf(scorer, set.queries.toReversed().map(reverse)),
    again: await scoresOf(scorer, set.queries),
    texts: await scoresOf(scorer, set.queries.map(textsAlone)),
  }));
  const restarted = await withProjector(projectors.f16, (scorer) => scoresOf(scorer, set.queries));
  const here = engine.library?.seesImages
    ? await scoresOf(await openRerankScorer(reranker, { mmproj: projectors.f16 }, bench), set.queries)
    : undefined;
  const drifted = await withProjector(projectors.q8, (scorer) => scoresOf(scorer, set.queries));
  return {
    prompts: scores.length,
    repeated: largest(scores, again),
    restarted: largest(scores, restarted),
    otherOrder: largest(scores, reversed.toReversed()),
    picturesLeftOut: largest(scores, texts),
    ...(here !== undefined && { embedded: largest(scores, here) }),
    projectorQ8: largest(scores, drifted),
    projectorQ8Mean:
      scores.reduce((sum, score, index) => sum + Math.abs(score - (drifted[index] ?? 0)), 0) / scores.length,
  };
}

type Query = RerankSet["queries"][number];

function reverse({ query, documents }: Query): Query {
  return { query, documents: documents.toReversed() };
}

function textsAlone({ query, documents }: Query): Query {
  const textOf = (content: RankContent) => (typeof content === "string" ? content : (content.text ?? "nothing"));
  return { query: textOf(query), documents: documents.map(textOf) };
}

async function scoresOf(scorer: RerankScorer, queries: readonly Query[]): Promise<number[]> {
  const scores: number[] = [];
  for (const asked of queries) scores.push(...(await scorer.score(asked)).map(({ score }) => score));
  return scores;
}

function largest(scores: readonly number[], others: readonly number[]): number {
  return Math.max(...scores.map((score, index) => Math.abs(score - (others[index] ?? Number.NaN))));
}
