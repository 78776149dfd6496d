/**
 * Documents per second of rerankers here and from llama-server of the same version, on the same file and threads:
 * `npx tsx bench/rerank-speed.ts --server-bin PATH [--threads 1] [--rounds 5] [--only KIND] [--record]` (after `npm run build`).
 *
 * Rank heads: models of random weights, of the widths of MiniLM, over documents of about 100 tokens.
 * Causal rerankers: the bundled 8 M llama, over prompts of 200 tokens of which 100 are those of the template and the query;
 * the tokens are drawn: none changes how long a decode takes. A request has all documents of a query, each round another
 * one, and all ways take turns: what else the machine does meets all of them. A figure is the median over the rounds.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Bench } from "../src/bench.ts";
import { requireLibrary } from "../src/engine/engine.ts";
import { openModel } from "../src/gguf/open.ts";
import { openBench } from "../src/open-bench.ts";
import { createRandom } from "../src/random.ts";
import { openRerankScorer } from "../src/rerank/rerank-scorer.ts";
import { readRerankSet } from "../src/rerank/rerank-set.ts";
import { describeReranker } from "../src/rerank/reranker.ts";
import { writeRunnable } from "../test/fixtures/runnable.ts";
import { askJson, serverProgram, withLlamaServer } from "./llama-server.ts";
import { processorSeconds } from "./processor-time.ts";
import { recordResult } from "./results.ts";

const COUNTS = [32, 128];
const RANK_HEADS = [
  { kind: "cross-encoder", sizes: { layers: 3, d: 384, ff: 1536, heads: 12, kvHeads: 12 } },
  { kind: "reranker", sizes: { layers: 2, d: 256, ff: 512, heads: 4, kvHeads: 2 } },
] as const;
/** Tokens: the fixtures' vocabularies make one of nearly every character. */
const DOCUMENT = { least: 80, most: 120 };
const CAUSAL = { model: join(import.meta.dirname, "../models/books-llama-8m-f16.gguf"), before: 100, behind: 100 };
/** Tokens of any vocabulary that are no special ones. */
const DRAWN = { from: 300, count: 1000 };
/** llama-server's defaults are 4 slots that share a batch. */
const ONE_SLOT = ["--parallel", "1"];

/** Does a request of so many documents; the round tells queries apart. */
type Way = (count: number, round: number) => Promise<unknown>;

const { values } = parseArgs({
  options: {
    "server-bin": { type: "string" },
    threads: { type: "string", default: "1" },
    rounds: { type: "string", default: "5" },
    /** "cross-encoder", "reranker" or "causal". */
    only: { type: "string" },
    record: { type: "boolean", default: false },
  },
});
const program = serverProgram(values["server-bin"]);
if (program !== undefined) await measureAll(program, Number(values.threads));

async function measureAll(server: string, threads: number): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "prism-speed-"));
  const bench = await openBench({ threads });
  const figures: Record<string, unknown> = {};
  try {
    const isAsked = (label: string) => values.only === undefined || values.only === label;
    for (const { kind, sizes } of RANK_HEADS) {
      if (!isAsked(kind)) continue;
      const model = await writeRunnable(kind, dir, { sizes });
      Object.assign(figures, await rankHeads(kind, { server, model, bench }));
    }
    if (isAsked("causal")) Object.assign(figures, await causal({ server, model: CAUSAL.model, bench }));
    if (values.record) console.log(`added to ${await recordResult({ bench: "rerank-speed", figures })}`);
  } finally {
    await bench.close();
    await rm(dir, { recursive: true, force: true });
  }
}

interface Sides {
  readonly server: string;
  readonly model: string;
  readonly bench: Bench;
}

async function rankHeads(label: string, { server, model, bench }: Sides) {
  const file = await openModel(model);
  await file.close();
  const scorer = await openRerankScorer(describeReranker(file.model), {}, bench);
  const textOf = await textCutter();
  const rerank =
    (address: string): Way =>
    (count, round) =>
      askJson(`${address}/v1/rerank`, textOf(count, round));
  const asked = { program: server, model, threads: bench.threads };
  try {
    return await withLlamaServer({ ...asked, flags: ["--reranking"] }, (many) =>
      withLlamaServer({ ...asked, flags: ["--reranking", ...ONE_SLOT] }, (one) =>
        race(label, {
          prism: (count, round) => scorer.score(textOf(count, round)),
          server: rerank(many),
          "server, one slot": rerank(one),
        }),
      ),
    );
  } finally {
    await scorer.close();
  }
}

async function causal({ server, model, bench }: Sides) {
  const { threads, signal } = bench;
  const ranker = await requireLibrary(bench.engine).loadRanker({ model, threads, gpuLayers: 0, signal });
  const ids = Int32Array.of(DRAWN.from, DRAWN.from + 1);
  const complete =
    (address: string, cached: boolean): Way =>
    (count, round) =>
      askJson(`${address}/completion`, {
        prompt: drawPrompts(count, round).map((prompt) => [...prompt]),
        ...{ n_predict: 1, temperature: 1, n_probs: 50, cache_prompt: cached },
      });
  const asked = { program: server, model, threads };
  try {
    return await withLlamaServer(asked, (many) =>
      withLlamaServer({ ...asked, flags: ONE_SLOT }, (one) =>
        race("causal", {
          prism: (count, round) => ranker.nextLogits(drawPrompts(count, round), { ids, shared: CAUSAL.before }),
          server: complete(many, true),
          "server, one slot": complete(one, true),
          "server, one slot, cache_prompt false": complete(one, false),
        }),
      ),
    );
  } finally {
    await ranker.close();
  }
}

interface Speed {
  readonly documentsPerSecond: number;
  /** How many times as many documents per second the first way does. */
  readonly ratio: number;
  /** The same per second of processor time. */
  readonly processorRatio: number;
}

/** Let the ways take turns. */
async function race(label: string, ways: { readonly [name: string]: Way }): Promise<Record<string, Speed>> {
  const figures: Record<string, Speed> = {};
  const racers = Object.entries(ways).map(([name, way]) => ({
    name,
    way,
    clock: [] as number[],
    processor: [] as number[],
  }));
  for (const count of COUNTS) {
    // the first round warms up
    for (let round = 0; round <= Number(values.rounds); round++) {
      for (const { way, clock, processor } of racers) {
        const [start, used] = [performance.now(), processorSeconds()];
        await way(count, round);
        if (round === 0) continue;
        clock.push((performance.now() - start) / 1000);
        processor.push((processorSeconds() ?? Number.NaN) - (used ?? Number.NaN));
      }
    }
    for (const { name, clock, processor } of racers) {
      const row = `${label}, ${count} documents, ${name}`;
      figures[row] = {
        documentsPerSecond: count / median(clock),
        ratio: medianRatio(clock, racers[0]?.clock),
        processorRatio: medianRatio(processor, racers[0]?.processor),
      };
      const { documentsPerSecond, ratio, processorRatio } = figures[row];
      const speed = documentsPerSecond.toFixed(1).padStart(7);
      console.log(
        `${row.padEnd(64)} ${speed}/s, here × ${ratio.toFixed(2)}, by processor time × ${processorRatio.toFixed(2)}`,
      );
    }
    for (const { clock, processor } of racers) clock.length = processor.length = 0;
  }
  return figures;
}

function medianRatio(took: readonly number[], first: readonly number[] = []): number {
  return median(took.map((seconds, round) => seconds / (first[round] ?? Number.NaN)));
}

/** Requests of pieces of the documents that come with PRISM, other ones each round. */
async function textCutter() {
  const { queries } = await readRerankSet();
  const text = queries.flatMap(({ documents }) => documents).join(" ");
  return (count: number, round: number) => {
    const random = createRandom(round + 1);
    const documents = Array.from({ length: count }, () => {
      const from = Math.floor(random() * (text.length - DOCUMENT.most));
      return text.slice(from, from + DOCUMENT.least + Math.floor(random() * (DOCUMENT.most - DOCUMENT.least)));
    });
    return { query: queries[round % queries.length]?.query ?? "", documents };
  };
}

function drawPrompts(count: number, round: number): Int32Array[] {
  const random = createRandom(round + 1);
  const draw = (tokens: number) =>
    Array.from({ length: tokens }, () => DRAWN.from + Math.floor(random() * DRAWN.count));
  const beginning = draw(CAUSAL.before);
  return Array.from({ length: count }, () => Int32Array.from([...beginning, ...draw(CAUSAL.behind)]));
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;
}
