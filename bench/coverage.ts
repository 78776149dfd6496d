/**
 * How honest the standard error of the distortion is: the default sampling of several seeds against the exact value.
 * `npx tsx bench/coverage.ts [--seeds N] MODEL...` prints, per model, the (tensor, type) pairs whose value was sampled
 * and the share of them that lies within 1 and 2 standard errors of the exact distortion; a normal error has 68.3 and
 * 95.4 %. Tensors that are read whole, their standard error being 0, don't count.
 */
import { availableParallelism, cpus } from "node:os";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import type { Analysis, Estimate } from "../src/analyze/analysis.ts";
import { analyze } from "../src/analyze/analyze.ts";
import { SAMPLING_DESIGN } from "../src/analyze/sampling.ts";
import { openEngine } from "../src/engine/open-engine.ts";
import { readFacts } from "../src/gguf/facts.ts";
import { openModel } from "../src/gguf/open.ts";
import { referenceBackend } from "../src/kernels/reference.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: "string", default: "10" } },
});

const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => index + 1);
const threads = availableParallelism();
const engine = await openEngine({ threads });
const backend = referenceBackend({ threads });
const { bandRows, strata, firstBands } = SAMPLING_DESIGN;
console.log(
  `${cpus()[0]?.model}, ${threads} threads, llama.cpp ${engine.info.version}, ${seeds.length} seeds, ` +
    `${strata} strata of ${firstBands} bands of ${bandRows} rows to begin with`,
);
console.log("\n| model | tensors sampled | pairs | within 1 SE | within 2 SE | relative SE, median | rows read | s |");
console.log("|---|---|---|---|---|---|---|---|");
try {
  for (const model of positionals) console.log(await coverageLine(model));
} finally {
  await Promise.all([engine.close(), backend.close()]);
}

async function analyzeWith(path: string, seed: number, exactDistortion: boolean): Promise<Analysis> {
  const file = await openModel(path);
  try {
    return await analyze(file, readFacts(file.model), { engine, backend, seed, threads, exactDistortion });
  } finally {
    await file.close();
  }
}

async function coverageLine(path: string): Promise<string> {
  const started = performance.now();
  const exact = distortions(await analyzeWith(path, 0, true));
  const errors: number[] = [];
  const relative: number[] = [];
  const sampled = new Set<string>();
  let read = 0;
  let rows = 0;
  for (const seed of seeds) {
    const analysis = await analyzeWith(path, seed, false);
    for (const tensor of analysis.tensors) {
      read += tensor.rowsRead ?? 0;
      rows += tensor.rows ?? 0;
    }
    for (const [pair, { value, se }] of distortions(analysis)) {
      if (se === 0) continue;
      errors.push(Math.abs(value - (exact.get(pair)?.value ?? Number.NaN)) / se);
      relative.push(se / value);
      sampled.add(pair.split(" ")[0] ?? "");
    }
  }
  const within = (limit: number) =>
    `${((100 * errors.filter((error) => error <= limit).length) / errors.length).toFixed(1)} %`;
  const median = relative.sort((a, b) => a - b)[relative.length >> 1] ?? Number.NaN;
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const cells = [basename(path, ".gguf"), sampled.size, errors.length, within(1), within(2)];
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  return `| ${[...cells, percent(median), percent(read / rows), seconds].join(" | ")} |`;
}

/** The distortion of each tensor in each type, by "tensor type". */
function distortions(analysis: Analysis): Map<string, Estimate> {
  return new Map(
    analysis.tensors.flatMap(({ name, distortion = {} }) =>
      Object.entries(distortion).map(([type, estimate]) => [`${name} ${type}`, estimate] as const),
    ),
  );
}
