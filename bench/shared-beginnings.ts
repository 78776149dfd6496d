/**
 * Documents per second of a causal reranker, with the beginning that the prompts of a query share decoded once and with
 * every prompt decoded whole; and whether both give the same logits.
 * `npx tsx bench/shared-beginnings.ts [--model MODEL.gguf] [--threads 1] [--record]` (after `npm run build`).
 *
 * The prompts have the lengths of Qwen3-Reranker's: 85 tokens before the document, for a query of a dozen, and behind them
 * a passage of so many tokens with 10 that close the prompt. The tokens are drawn: none changes how long a decode takes.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type LoadedRanker, requireLibrary } from "../src/engine/engine.ts";
import { openBench } from "../src/open-bench.ts";
import { createRandom } from "../src/random.ts";
import { recordResult } from "./results.ts";

const BEFORE = 85;
const BEHIND = 10;
const PASSAGES = [60, 100, 200];
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
for (const passage of PASSAGES) {
  for (const count of DOCUMENTS) {
    const label = `${count} documents of ${passage} tokens`;
    figures[label] = await measure(ranker, passage, count);
    const { whole = 0, shared = 0, ratio = 0 } = figures[label];
    console.log(
      `${label.padEnd(30)} whole ${whole.toFixed(1)}/s, shared ${shared.toFixed(1)}/s, × ${ratio.toFixed(2)}`,
    );
  }
}
await ranker.close();
await bench.close();
if (values.record) console.log(`added to ${await recordResult({ bench: "shared-beginnings", figures })}`);

async function measure(ranker: LoadedRanker, passage: number, count: number) {
  const random = createRandom(1);
  const draw = (tokens: number) =>
    Array.from({ length: tokens }, () => DRAWN.from + Math.floor(random() * DRAWN.count));
  const before = draw(BEFORE);
  const prompts = Array.from({ length: count }, () => Int32Array.from([...before, ...draw(passage + BEHIND)]));
  const ids = Int32Array.of(DRAWN.from, DRAWN.from + 1);
  const time = async (shared: number) => {
    const start = performance.now();
    const logits = await ranker.nextLogits(prompts, { ids, shared });
    return { perSecond: (1000 * count) / (performance.now() - start), logits };
  };
  await ranker.nextLogits(prompts.slice(0, 2), { ids });
  const whole = await time(0);
  const shared = await time(BEFORE);
  const differ = whole.logits.filter((row, index) => row.some((logit, at) => logit !== shared.logits[index]?.[at]));
  if (differ.length > 0) throw new Error(`${differ.length} of ${count} prompts give other logits`);
  return { whole: whole.perSecond, shared: shared.perSecond, ratio: shared.perSecond / whole.perSecond };
}
