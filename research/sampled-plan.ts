/**
 * What sampling costs in the plan: `npx tsx research/sampled-plan.ts [--seeds N] [--threads N] MODEL...` plans each model at
 * the bytes of several presets from sampled analyses and from the exact one, and prices both plans with the exact
 * distortion (uniform sensitivity): the predicted loss of the first over that of the second, minus 1.
 */
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { recordResult } from "../bench/results.ts";
import type { Analysis } from "../src/analyze/analysis.ts";
import type { FileType } from "../src/ggml/file-types.ts";
import type { TensorType } from "../src/ggml/tensor-types.ts";
import { openBench } from "../src/open-bench.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import { uniformSensitivity } from "../src/sensitivity/sensitivity.ts";
import { analyzeModel } from "./bench-models.ts";

const BUDGETS: readonly FileType[] = ["Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M"];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "3" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
});
const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => index + 1);
const bench = await openBench({ threads: Number(values.threads), backend: "native" });
const figures: Record<string, Record<string, number>> = {};
console.log("| model | bytes of | loss of the sampled plan over the exact one's, worst seed |");
console.log("|---|---|---|");
try {
  for (const path of positionals) figures[basename(path, ".gguf")] = await compare(path);
  console.error(`added to ${await recordResult({ bench: "sampled-plan", figures })}`);
} finally {
  await bench.close();
}

async function compare(path: string): Promise<Record<string, number>> {
  const exact = await analyzeWith(path, 0, true);
  const sampled: Analysis[] = [];
  for (const seed of seeds) sampled.push(await analyzeWith(path, seed, false));
  const worst: Record<string, number> = {};
  for (const budget of BUDGETS) {
    const best = lossOf(exact, exact, budget);
    const excess = Math.max(...sampled.map((analysis) => lossOf(analysis, exact, budget) / best - 1));
    worst[budget] = excess;
    console.log(`| ${basename(path, ".gguf")} | ${budget} | ${(100 * excess).toFixed(3)} % |`);
  }
  return worst;
}

function analyzeWith(path: string, seed: number, exactDistortion: boolean): Promise<Analysis> {
  return analyzeModel(path, { exactDistortion }, { ...bench, seed });
}

/** Loss, by the exact distortion, of the plan that `analysis` leads to. */
function lossOf(analysis: Analysis, exact: Analysis, fileType: FileType): number {
  const budget = { kind: "like", fileType, text: `--like ${fileType}` } as const;
  const plan = makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget });
  const truth = new Map(exact.tensors.map((tensor) => [tensor.name, tensor]));
  return plan.tensors.reduce((sum, { name, type }) => {
    const tensor = truth.get(name);
    return sum + (tensor?.distortion?.[type as TensorType]?.value ?? 0) * (tensor?.elements ?? 0);
  }, 0);
}
