/**
 * Designs of probing on models that were measured tensor by tensor (research/measured-kld.ts, or probed tables): groups
 * are taken for the sum of their tensors, with errors as probes have them, and plans are judged as additive-judge.ts
 * does. Prints the mean share of the oracle's gain over the preset after so many chunks, without probes first, and the
 * expected and the real regret. `npx tsx research/probe-simulation.ts --data DIR [--after 8,16,32,64,128] [--tensors 450]`
 */
import { parseArgs } from "node:util";
import { SILENT } from "../src/bench.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import { probeModel } from "../src/probes/probe-model.ts";
import { sensitivityFromPrior } from "../src/sensitivity/sensitivity-prior.ts";
import { blendSensitivity } from "../src/sensitivity/sensitivity-stock.ts";
import { mean, planJudge, preset, priorOf } from "./additive-judge.ts";
import { readMeasuredModels } from "./measured-kld.ts";
import { emptyStore } from "./probe-replay.ts";
import { simulatedSite } from "./simulated-site.ts";

const { values } = parseArgs({
  options: {
    data: { type: "string", default: "" },
    after: { type: "string", default: "8,16,32,64,128" },
    tensors: { type: "string", default: "450" },
    presets: { type: "string", default: "Q2_K,Q3_K_M,Q4_K_M,Q5_K_M" },
  },
});
const presets = values.presets.split(",").map(preset);
const counts = values.after.split(",").map(Number);
const known = readMeasuredModels(values.data);
console.log(`| model | tensors | no probes | ${counts.map((count) => `${count} chunks`).join(" | ")} |`);
console.log(`|${"---|".repeat(counts.length + 3)}`);
const sums = counts.map(() => 0);
let models = 0;
for (const model of known) {
  const count = model.analysis.tensors.filter(({ eligible }) => eligible).length;
  if (count > Number(values.tensors)) continue;
  const { analysis } = model;
  const others = known.filter((other) => other.analysis.facts.arch !== analysis.facts.arch);
  const prior = blendSensitivity(analysis, sensitivityFromPrior(analysis, priorOf(others)));
  const judge = planJudge(model, presets);
  const shareOf = (sensitivity: Parameters<typeof judge>[0]) => mean(judge(sensitivity, {}).map(({ share }) => share));
  const cells: string[] = [];
  for (const [index, chunks] of counts.entries()) {
    const request = { analysis, prior, site: simulatedSite(model), store: emptyStore(), budget: { chunks } };
    const probed = await probeModel(request, { signal: new AbortController().signal, progress: SILENT });
    const share = shareOf(probed.sensitivity);
    const plan = makePlan({ analysis, sensitivity: probed.sensitivity, budget: { kind: "like", fileType: "Q4_K_M" } });
    cells.push(`${share.toFixed(0)} (${(100 * probed.regretOf(plan)).toFixed(1)})`);
    sums[index] = (sums[index] as number) + share;
  }
  models++;
  console.log(`| ${model.name} | ${count} | ${shareOf(prior).toFixed(0)} | ${cells.join(" | ")} |`);
}
console.log(`| mean | | | ${sums.map((sum) => (sum / models).toFixed(1)).join(" | ")} |`);
