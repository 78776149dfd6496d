/**
 * Real KL divergence of plans without probes, at the bytes of presets: the preset, stock, the blend by the prior of the
 * package, and by priors of one's own. `npx tsx research/prior-kld.ts --text FILE [--chunks 80] [--context 256] [--presets
 * Q3_K_M,Q4_K_M] MODEL ANALYSIS [PRIOR...]`, ANALYSIS of MODEL, PRIOR as `prism prior add` and small-models.ts write it.
 * After each figure the difference to stock in percent, paired over chunks.
 */
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { readAnalysis } from "../src/analyze/analysis-document.ts";
import type { ModelEvaluation } from "../src/evaluate/evaluation.ts";
import { scoreFile } from "../src/evaluate/score-file.ts";
import { openSession } from "../src/evaluate/session.ts";
import { pairedDifference } from "../src/evaluate/statistics.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { openBench } from "../src/open-bench.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import { planSpec, presetSpec } from "../src/quantize/plan-spec.ts";
import type { QuantizeSpec } from "../src/quantize/quantize.ts";
import { parsePrior, sensitivityFromPrior } from "../src/sensitivity/sensitivity-prior.ts";
import { blendSensitivity, stockSensitivity } from "../src/sensitivity/sensitivity-stock.ts";
import { preset } from "./additive-judge.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string" },
    chunks: { type: "string", default: "80" },
    context: { type: "string", default: "256" },
    presets: { type: "string", default: "Q3_K_M,Q4_K_M,Q5_K_M" },
    threads: { type: "string", default: "1" },
  },
});
const [path, measured, ...priors] = positionals;
const { text } = values;
if (path === undefined || measured === undefined || text === undefined)
  throw new Error("give --text, MODEL and ANALYSIS");
const analysis = readAnalysis(readFileSync(measured, "utf8"), measured);
const work = await mkdtemp(join(tmpdir(), "prism-prior-kld-"));
const output = join(work, "candidate.gguf");
const bench = await openBench({ threads: Number(values.threads), backend: "reference", cacheDir: join(work, "cache") });
const model = await openLocalModel(path);
const modes = {
  stock: stockSensitivity(analysis),
  blend: blendSensitivity(analysis),
  ...Object.fromEntries(
    priors.map((file) => {
      const prior = sensitivityFromPrior(analysis, parsePrior(file, readFileSync(file, "utf8")));
      return [`blend, ${basename(file, ".json")}`, blendSensitivity(analysis, prior)];
    }),
  ),
};
try {
  const request = { text, chunks: Number(values.chunks), context: Number(values.context) };
  const session = await openSession({ reference: model, pilot: model }, request, bench);
  const score = (spec: QuantizeSpec) =>
    scoreFile(model, { spec, keep: false }, (made) => session.evaluateModel(made), bench);
  const heads = ["model", "bytes of", "preset", ...Object.keys(modes)];
  console.log(`| ${heads.join(" | ")} |\n|${heads.map(() => "---|").join("")}`);
  for (const fileType of values.presets.split(",").map(preset)) {
    const plans = Object.values(modes).map((sensitivity) =>
      makePlan({ analysis, sensitivity, budget: { kind: "like", fileType } }),
    );
    const [first] = plans;
    if (first === undefined) continue;
    const stockPreset = await score(presetSpec(first, fileType, output));
    const planned: ModelEvaluation[] = [];
    for (const plan of plans) planned.push(await score(planSpec(plan, output)));
    const cells = [stockPreset, ...planned].map((evaluation) => describe(evaluation, planned[0]));
    console.log(`| ${[basename(path, ".gguf"), fileType, ...cells].join(" | ")} |`);
  }
  await session.close();
} finally {
  await model.close();
  await bench.close();
  await rm(work, { recursive: true, force: true });
}

function describe({ kld, perChunk }: ModelEvaluation, stock: ModelEvaluation | undefined): string {
  const [own, control] = [perChunk?.kld, stock?.perChunk?.kld];
  if (kld === undefined || own === undefined || control === undefined) return "-";
  const mean = kld.mean.toPrecision(3);
  if (own === control) return mean;
  const { value, se } = pairedDifference(own, control);
  const percent = (part: number) => ((100 * part) / (stock?.kld?.mean ?? 1)).toFixed(1);
  return `${mean}, ${percent(value)} ± ${percent(se)} %`;
}
