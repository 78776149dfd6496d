/**
 * How honest the standard error of the distortion is: the default sampling of several seeds against the exact value.
 * `npx tsx research/coverage.ts [--seeds N] [--threads N] MODEL...` prints, per model and way of measuring, the (tensor, type)
 * pairs whose value was sampled and the share of them that lies within 1 and 2 standard errors of the exact distortion; a
 * normal error has 68.3 and 95.4 %. Tensors that are measured whole, their standard error being 0, don't count. With
 * more than one seed it appends to the machine's results.
 */
import { availableParallelism, cpus } from "node:os";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { recordResult } from "../bench/results.ts";
import type { Analysis, DistortionEstimate } from "../src/analyze/analysis.ts";
import { SAMPLING_DESIGN } from "../src/analyze/sampling.ts";
import { openBench } from "../src/open-bench.ts";
import { analyzeModel } from "./bench-models.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "10" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
});

const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => index + 1);
const threads = Number(values.threads);
const bench = await openBench({ threads, backend: "native" });
const { bandRows, strata, firstBands } = SAMPLING_DESIGN;
console.log(
  `${cpus()[0]?.model}, ${threads} threads, llama.cpp ${bench.engine.info.version}, ${seeds.length} seeds, ` +
    `${strata} strata of ${firstBands} bands of ${bandRows} rows to begin with`,
);
console.log("\n| model | measured | tensors | pairs | within 1 SE | within 2 SE | relative SE, median | rows read |");
console.log("|---|---|---|---|---|---|---|---|");
const figures: Record<string, unknown> = {};
try {
  for (const model of positionals) {
    const coverage = await coverageOf(model);
    figures[basename(model, ".gguf")] = coverage;
    for (const [way, { tensors, pairs, within1, within2, medianRelativeSe }] of Object.entries(coverage.ways)) {
      const shares = [within1, within2].map((share) => `${(100 * share).toFixed(1)} %`);
      const precise = [medianRelativeSe, coverage.rowsRead].map((share) => `${(100 * share).toFixed(2)} %`);
      console.log(`| ${[basename(model, ".gguf"), way, tensors, pairs, ...shares, ...precise].join(" | ")} |`);
    }
  }
  if (seeds.length > 1) console.log(`\nadded to ${await recordResult({ bench: "coverage", figures })}`);
} finally {
  await bench.close();
}

function analyzeWith(path: string, seed: number, exactDistortion: boolean): Promise<Analysis> {
  return analyzeModel(path, { exactDistortion }, { ...bench, seed });
}

/** How a pair's estimate was made. */
function wayOf({ ratioTo, dominatedBy }: DistortionEstimate): string {
  if (dominatedBy !== undefined) return "dropped early";
  return ratioTo === undefined ? "directly" : `as a ratio to ${ratioTo}`;
}

interface Way {
  readonly errors: number[];
  readonly relative: number[];
  readonly tensors: Set<string>;
}

async function coverageOf(path: string) {
  const exact = distortions(await analyzeWith(path, 0, true));
  const ways = new Map<string, Way>();
  let read = 0;
  let rows = 0;
  for (const seed of seeds) {
    const analysis = await analyzeWith(path, seed, false);
    for (const tensor of analysis.tensors) {
      read += tensor.rowsRead ?? 0;
      rows += tensor.rows ?? 0;
    }
    for (const [pair, estimate] of distortions(analysis)) {
      const { value, se } = estimate;
      if (se === 0) continue;
      for (const name of ["all", wayOf(estimate)]) {
        const way = ways.get(name) ?? { errors: [], relative: [], tensors: new Set() };
        ways.set(name, way);
        way.errors.push(Math.abs(value - (exact.get(pair)?.value ?? Number.NaN)) / se);
        way.relative.push(se / value);
        way.tensors.add(pair.split(" ")[0] ?? "");
      }
    }
  }
  return {
    rowsRead: read / rows,
    ways: Object.fromEntries([...ways].map(([name, way]) => [name, summarize(way)])),
  };
}

function summarize({ errors, relative, tensors }: Way) {
  const within = (limit: number) => errors.filter((error) => error <= limit).length / errors.length;
  return {
    tensors: tensors.size,
    pairs: errors.length,
    within1: within(1),
    within2: within(2),
    medianRelativeSe: relative.sort((a, b) => a - b)[relative.length >> 1] ?? 0,
  };
}

/** The distortion of each tensor in each type, by "tensor type". */
function distortions(analysis: Analysis): Map<string, DistortionEstimate> {
  return new Map(
    analysis.tensors.flatMap(({ name, distortion = {} }) =>
      Object.entries(distortion).map(([type, estimate]) => [`${name} ${type}`, estimate] as const),
    ),
  );
}
