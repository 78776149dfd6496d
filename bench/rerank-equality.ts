/**
 * Scores of rerankers here and from a llama-server of the same version, by kind of reranker: the random models of
 * test/fixtures, at f16 and at f32, over the documents that come with PRISM.
 * `npx tsx bench/rerank-equality.ts --server-bin PATH [--queries 4] [--threads 1] [--record]` (after `npm run build`).
 *
 * Causal rerankers are asked through /completion, for the whole vocabulary where "yes" and "no" are not among the 50
 * likeliest. llama-server decodes the last 4 tokens of a prompt by themselves where a model's memory can't be rolled
 * back (qwen35), to keep a checkpoint before them; --ctx-checkpoints 0 leaves that out. With its default, 4 slots, it decodes
 * the documents of a request together, and flash attention adds up in another order. So each kind is measured with one slot
 * and with the server's defaults, and qwen35 without checkpoints and without flash attention too. cache_prompt lets it keep the beginning of a causal
 * prompt for the next one, as it does unless it is told otherwise.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Bench } from "../src/bench.ts";
import { openModel } from "../src/gguf/open.ts";
import { openBench } from "../src/open-bench.ts";
import { hasRankHead } from "../src/preflight/rank-head.ts";
import { openServerScorer } from "../src/rerank/llama-server.ts";
import { openRerankScorer, type RerankScorer } from "../src/rerank/rerank-scorer.ts";
import { type RerankSet, readRerankSet } from "../src/rerank/rerank-set.ts";
import { describeReranker } from "../src/rerank/reranker.ts";
import { type RunnableKind, writeRunnable } from "../test/fixtures/runnable.ts";
import { serverProgram, withLlamaServer } from "./llama-server.ts";
import { recordResult } from "./results.ts";

const ONE_SLOT = ["--parallel", "1"];
const KINDS = [
  "reranker",
  "qwen3vl-reranker",
  "cross-encoder",
  "jina-reranker",
  "causal-reranker",
  "causal-reranker-untied",
  "qwen35-reranker",
] as const;
interface Case {
  readonly kind: RunnableKind;
  readonly flags: readonly string[];
  readonly cachePrompt?: boolean;
}

const CASES: readonly Case[] = [
  ...KINDS.flatMap((kind) => [ONE_SLOT, []].map((flags) => ({ kind, flags }))),
  { kind: "causal-reranker", flags: ONE_SLOT, cachePrompt: true },
  { kind: "causal-reranker-untied", flags: ONE_SLOT, cachePrompt: true },
  { kind: "qwen35-reranker", flags: [...ONE_SLOT, "--ctx-checkpoints", "0"] },
  { kind: "qwen35-reranker", flags: [...ONE_SLOT, "--flash-attn", "off"] },
];
const SOURCE_TYPES = ["F16", "F32"] as const;

const { values } = parseArgs({
  options: {
    "server-bin": { type: "string" },
    queries: { type: "string", default: "4" },
    threads: { type: "string", default: "1" },
    record: { type: "boolean", default: false },
  },
});
const program = serverProgram(values["server-bin"]);
if (program !== undefined) await compareAll(program, Number(values.threads));

async function compareAll(server: string, threads: number): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "prism-equality-"));
  const bench = await openBench({ threads });
  const queries = (await readRerankSet()).queries.slice(0, Number(values.queries));
  const documents = queries.reduce((sum, query) => sum + query.documents.length, 0);
  const figures: Record<string, number> = {};
  try {
    console.log(`${documents} documents each, llama-server ${server}\n`);
    for (const sourceType of SOURCE_TYPES) {
      for (const { kind, ...asked } of CASES) {
        const label = [kind, sourceType, ...asked.flags, ...(asked.cachePrompt ? ["cache_prompt"] : [])].join(" ");
        const model = await writeRunnable(kind, dir, { sourceType });
        figures[label] = await compare(model, asked, { server, bench, queries });
        console.log(`${label.padEnd(56)} max |difference| ${(figures[label] as number).toExponential(1)}`);
      }
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
  path: string,
  { flags, cachePrompt }: Omit<Case, "kind">,
  { server, bench, queries }: Sides,
): Promise<number> {
  const file = await openModel(path);
  await file.close();
  const reranker = describeReranker(file.model);
  const here = await scoresOf(await openRerankScorer(reranker, {}, bench), queries);
  const kindFlags = hasRankHead(file.model) ? ["--reranking"] : [];
  const asked = {
    program: server,
    model: path,
    threads: bench.threads,
    flags: [...kindFlags, ...flags],
  };
  const there = await withLlamaServer(asked, async (address) =>
    scoresOf(await openServerScorer({ server: address, reranker, signal: bench.signal, cachePrompt }), queries),
  );
  return Math.max(...here.map((score, index) => Math.abs(score - (there[index] ?? Number.NaN))));
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
