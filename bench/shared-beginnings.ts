/**
 * Documents per second of a causal reranker, with the beginning that the prompts of a query share decoded once and with
 * every prompt decoded whole; and whether both give the same logits.
 * `npx tsx bench/shared-beginnings.ts [--model MODEL.gguf] [--threads 1] [--record]` (after `npm run build`).
 *
 * The prompts have the lengths of Qwen3-Reranker's: 85 tokens before the document for a query of a dozen, 150 for one of 80
 * or an instruction as long, and behind them a passage of so many tokens with 10 that close the prompt. The tokens are drawn: none changes how long a decode takes.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type LoadedRanker, requireLibrary } from "../src/engine/engine.ts";
import { openBench } from "../src/open-bench.ts";
import { createRandom } from "../src/random.ts";
import { recordResult } from "./results.ts";

const BEFORES = [85, 150];
const BEHIND = 10;
const PASSAGES = [20, 60, 100, 200];
/** Both ways take turns after so many documents: what else the machine does meets both. */
const TURN = 16;
const DOCUMENTS = [32, 128];
/** Tokens of any vocabulary that are no special ones. */
const DRAWN = { from: 300, count: 1000 };

const { values } = parseArgs({
  options: {
    model: { type: "string", default: join(import.meta.dirname, "../models/books-llama-8m-f16.gguf") },
    threads: { type: "string", default: "1" },
    record: { type: "boolean", default: false },
  },
});
const threads = Number(values.threads);
const bench = await openBench({ threads });
const { signal } = bench;
const ranker = await requireLibrary(bench.engine).loadRanker({ model: values.model, threads, gpuLayers: 0, signal });
const figures: Record<string, Record<string, number>> = {};
for (const before of BEFORES) {
  for (const passage of PASSAGES) {
    for (const count of DOCUMENTS) {
      const label = `${count} documents of ${passage} tokens after ${before}`;
      figures[label] = await measure(ranker, { before, passage, count });
      const { whole = 0, once = 0, ratio = 0 } = figures[label];
      console.log(`${label.padEnd(40)} whole ${whole.toFixed(1)}/s, once ${once.toFixed(1)}/s, × ${ratio.toFixed(2)}`);
    }
  }
}
await ranker.close();
await bench.close();
if (values.record) console.log(`added to ${await recordResult({ bench: "shared-beginnings", figures })}`);

interface Lengths {
  readonly before: number;
  readonly passage: number;
  readonly count: number;
}

async function measure(ranker: LoadedRanker, { before, passage, count }: Lengths) {
  const random = createRandom(1);
  const draw = (tokens: number) =>
    Array.from({ length: tokens }, () => DRAWN.from + Math.floor(random() * DRAWN.count));
  const beginning = draw(before);
  const prompts = Array.from({ length: count }, () => Int32Array.from([...beginning, ...draw(passage + BEHIND)]));
  const ids = Int32Array.of(DRAWN.from, DRAWN.from + 1);
  const ms = { whole: 0, once: 0 };
  const decode = async (way: keyof typeof ms, some: readonly Int32Array[]) => {
    const start = performance.now();
    const logits = await ranker.nextLogits(some, { ids, shared: way === "once" ? before : 0 });
    ms[way] += performance.now() - start;
    return logits;
  };
  for (let first = 0; first < count; first += TURN) {
    const some = prompts.slice(first, first + TURN);
    const whole = await decode("whole", some);
    const once = await decode("once", some);
    const differ = whole.filter((row, index) => row.some((logit, at) => logit !== once[index]?.[at]));
    if (differ.length > 0) throw new Error(`${differ.length} of ${some.length} prompts give other logits`);
  }
  return { whole: (1000 * count) / ms.whole, once: (1000 * count) / ms.once, ratio: ms.whole / ms.once };
}
