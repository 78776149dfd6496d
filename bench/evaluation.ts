/**
 * `prism evaluate` against llama-perplexity on the same text, chunks and threads, in one run:
 * `npx tsx bench/evaluation.ts --llama-dir DIR --text FILE [--context 256] [--chunks 128] [--threads 1] [--runs 3]
 * REFERENCE MODEL` (after `npm run build`). llama-perplexity runs twice, once to keep the reference's logits and once to
 * compare; PRISM does both in one command, process start and report included. Times are the least of the runs.
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parseKlDivergence } from "../src/engine/perplexity-log.ts";
import type { Evaluation } from "../src/evaluate/evaluation.ts";
import { recordResult } from "./results.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "llama-dir": { type: "string" },
    text: { type: "string" },
    context: { type: "string", default: "256" },
    chunks: { type: "string", default: "128" },
    threads: { type: "string", default: "1" },
    runs: { type: "string", default: "3" },
  },
});
const [reference, model] = positionals;
const { "llama-dir": llamaDir, text, context, chunks, threads } = values;
if (reference === undefined || model === undefined || text === undefined || llamaDir === undefined) {
  throw new Error("usage: npx tsx bench/evaluation.ts --llama-dir DIR --text FILE REFERENCE MODEL");
}

const PRISM = join(import.meta.dirname, "../dist/cli/main.js");
const PERPLEXITY = join(llamaDir, "llama-perplexity");

const folder = await mkdtemp(join(tmpdir(), "prism-evaluation-"));
const least = { prism: Number.POSITIVE_INFINITY, llama: Number.POSITIVE_INFINITY };
let difference: number | undefined;
try {
  for (let run = 0; run < Number(values.runs); run++) compare(reference, model, text);
} finally {
  await rm(folder, { recursive: true });
}

const ratio = least.prism / least.llama;
const apart = difference === undefined ? "not known: llama-perplexity lost its output" : difference.toExponential(1);
console.log(
  `${chunks} chunks of ${context}, ${threads} threads: prism evaluate ${least.prism.toFixed(2)} s, llama-perplexity ` +
    `${least.llama.toFixed(2)} s, ratio ${ratio.toFixed(2)}; mean KLD apart by ${apart}`,
);
await recordResult({
  bench: "evaluation",
  figures: {
    chunks: Number(chunks),
    context: Number(context),
    threads: Number(threads),
    prismSeconds: least.prism,
    llamaSeconds: least.llama,
    ratio,
    ...(difference === undefined ? {} : { kldDifference: difference }),
  },
});

/** One run of each, the logits kept and the cache empty. */
function compare(reference: string, model: string, text: string): void {
  const logits = join(folder, "logits");
  const common = ["-t", threads, "-c", context, "--chunks", chunks, "--kl-divergence-base", logits];
  const keep = timed(PERPLEXITY, ["-m", reference, "-f", text, ...common]);
  const judge = timed(PERPLEXITY, ["-m", model, ...common, "--kl-divergence"]);
  const options = ["--text", text, "--context", context, "--chunks", chunks, "--threads", threads];
  const cache = join(folder, "cache");
  const own = timed(
    process.execPath,
    [PRISM, "evaluate", model, "--reference", reference, ...options, "--json"],
    cache,
  );
  for (const used of [cache, logits]) rmSync(used, { recursive: true, force: true });
  least.llama = Math.min(least.llama, keep.seconds + judge.seconds);
  least.prism = Math.min(least.prism, own.seconds);
  const kld = (JSON.parse(own.stdout) as Evaluation).models[0]?.kld?.mean;
  const expected = parseKlDivergence(judge.printed)?.kld?.mean;
  if (kld !== undefined && expected !== undefined) difference = Math.abs(kld - expected);
}

function timed(program: string, options: readonly string[], cache = "") {
  const started = performance.now();
  const env = { ...process.env, PRISM_CACHE_DIR: cache };
  const run = spawnSync(program, options, { encoding: "utf8", env, maxBuffer: 2 ** 28 });
  if (run.status !== 0) throw new Error(`${program} ${options.join(" ")}: ${run.error?.message ?? run.stderr}`);
  return { seconds: (performance.now() - started) / 1e3, stdout: run.stdout, printed: `${run.stdout}\n${run.stderr}` };
}
