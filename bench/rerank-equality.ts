/**
 * Scores of rerankers here and from a llama-server of the same version, by kind of reranker: the random models of
 * test/fixtures over the documents that come with PRISM.
 * `npx tsx bench/rerank-equality.ts --server-bin PATH [--queries 4] [--threads 1] [--record]` (after `npm run build`).
 *
 * Causal rerankers are asked through /completion, for the whole vocabulary where "yes" and "no" are not among the 50
 * likeliest. llama-server decodes the last 4 tokens of a prompt by themselves where a model's memory can't be rolled
 * back (qwen35), to keep a checkpoint before them; --ctx-checkpoints 0 leaves that out. So each kind is measured with the
 * server's defaults, and qwen35 without checkpoints and without flash attention too.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Bench } from "../src/bench.ts";
import { openModel } from "../src/gguf/open.ts";
import { openBench } from "../src/open-bench.ts";
import { hasRankHead } from "../src/preflight/rank-head.ts";
import { openServerScorer } from "../src/rerank/llama-server.ts";
import { openRerankScorer, type RerankScorer } from "../src/rerank/rerank-scorer.ts";
import { type RerankSet, readRerankSet } from "../src/rerank/rerank-set.ts";
import { describeReranker, type Reranker } from "../src/rerank/reranker.ts";
import { type RunnableKind, writeRunnable } from "../test/fixtures/runnable.ts";
import { recordResult } from "./results.ts";

const CASES: readonly { readonly kind: RunnableKind; readonly flags?: readonly string[] }[] = [
  { kind: "reranker" },
  { kind: "qwen3vl-reranker" },
  { kind: "cross-encoder" },
  { kind: "jina-reranker" },
  { kind: "causal-reranker" },
  { kind: "causal-reranker-untied" },
  { kind: "qwen35-reranker" },
  { kind: "qwen35-reranker", flags: ["--ctx-checkpoints", "0"] },
  { kind: "qwen35-reranker", flags: ["--flash-attn", "off"] },
];
/** A server of a small model is up in a second; a busy machine takes longer. */
const START_ATTEMPTS = 240;
const ATTEMPT_MS = 500;

const { values } = parseArgs({
  options: {
    "server-bin": { type: "string" },
    queries: { type: "string", default: "4" },
    threads: { type: "string", default: "1" },
    record: { type: "boolean", default: false },
  },
});
const program = values["server-bin"];
if (program === undefined || !existsSync(program)) {
  console.log(`skipped: ${program === undefined ? "no --server-bin given" : `${program} is not there`}`);
} else {
  await compareAll(program, Number(values.threads));
}

async function compareAll(server: string, threads: number): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "prism-equality-"));
  const bench = await openBench({ threads });
  const queries = (await readRerankSet()).queries.slice(0, Number(values.queries));
  const documents = queries.reduce((sum, query) => sum + query.documents.length, 0);
  const figures: Record<string, number> = {};
  try {
    console.log(`${documents} documents each, llama-server ${server}\n`);
    for (const { kind, flags = [] } of CASES) {
      const label = [kind, ...flags].join(" ");
      figures[label] = await compare(await describe(await writeRunnable(kind, dir)), flags, {
        server,
        bench,
        queries,
      });
      console.log(`${label.padEnd(40)} max |difference| ${(figures[label] as number).toExponential(1)}`);
    }
    if (values.record)
      console.log(
        `added to ${await recordResult({ bench: "rerank-equality", figures: { documents, maxDifference: figures } })}`,
      );
  } finally {
    await bench.close();
    await rm(dir, { recursive: true, force: true });
  }
}

interface Sides {
  readonly server: string;
  readonly bench: Bench;
  readonly queries: RerankSet["queries"];
}

async function compare(
  { reranker, head }: { reranker: Reranker; head: boolean },
  flags: readonly string[],
  { server, bench, queries }: Sides,
): Promise<number> {
  const here = await scoresOf(await openRerankScorer(reranker, {}, bench), queries);
  const port = await freePort();
  const child = startServer(server, reranker.path, [
    ...["--port", String(port), "--threads", String(bench.threads)],
    ...(head ? ["--reranking"] : []),
    ...flags,
  ]);
  try {
    const scorer = await openWhenUp(`http://127.0.0.1:${port}`, reranker, child, bench);
    const there = await scoresOf(scorer, queries);
    return Math.max(...here.map((score, index) => Math.abs(score - (there[index] ?? Number.NaN))));
  } finally {
    child.kill();
  }
}

async function describe(path: string) {
  const file = await openModel(path);
  await file.close();
  return { reranker: describeReranker(file.model), head: hasRankHead(file.model) };
}

async function scoresOf(scorer: RerankScorer, queries: RerankSet["queries"]): Promise<number[]> {
  try {
    const scores: number[] = [];
    for (const { query, documents } of queries) {
      scores.push(...(await scorer.score({ query, documents })).map(({ score }) => score));
    }
    return scores;
  } finally {
    await scorer.close();
  }
}

function startServer(program: string, model: string, flags: readonly string[]): ChildProcess {
  const common = ["--model", model, "--host", "127.0.0.1", "--parallel", "1", "--gpu-layers", "0", "--no-warmup"];
  return spawn(program, [...common, ...flags], { stdio: "ignore" });
}

async function openWhenUp(
  server: string,
  reranker: Reranker,
  child: ChildProcess,
  { signal }: Bench,
): Promise<RerankScorer> {
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
    if (child.exitCode !== null) throw new Error(`llama-server ended with ${child.exitCode}`);
    const up = await fetch(`${server}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (up) return openServerScorer({ server, reranker, signal });
    await wait(ATTEMPT_MS);
  }
  throw new Error(`llama-server was not up after ${(START_ATTEMPTS * ATTEMPT_MS) / 1000} s`);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject(address)));
    });
  });
}
