/**
 * Whether a prior that grew by small models serves small models: percent of the presets' loss by the additive judge, for
 * uniform, stock, and the blend by the prior of the package, by one that has the other small models too, and by one of these
 * alone, the model itself left out. `npx tsx research/small-models.ts [--probed ANALYSIS=PROBES]... ANALYSIS...`: ANALYSIS as
 * research/judge.ts takes them; PROBES a run's probes.json of a model whose tensors were not probed one by one, whose
 * fitted densities then stand for the truth. `--write DIR` keeps the grown prior without each model, for prior-kld.ts.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { readAnalysis } from "../src/analyze/analysis-document.ts";
import { probedKinds } from "../src/probes/probed-kinds.ts";
import { parseDensities } from "../src/sensitivity/density-document.ts";
import { growPrior, serializePrior } from "../src/sensitivity/grow-prior.ts";
import type { MeasuredModel as PriorModel } from "../src/sensitivity/measured-model.ts";
import { importanceScale, uniformSensitivity } from "../src/sensitivity/sensitivity.ts";
import { builtInPrior, sensitivityFromPrior } from "../src/sensitivity/sensitivity-prior.ts";
import { blendSensitivity, stockSensitivity } from "../src/sensitivity/sensitivity-stock.ts";
import { JUDGED_PRESETS, mean, planJudge, preset } from "./additive-judge.ts";
import { measuredKinds } from "./measured-kinds.ts";
import type { MeasuredModel } from "./measured-kld.ts";
import { readProbedModel } from "./probed-model.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { probed: { type: "string", multiple: true, default: [] }, write: { type: "string" } },
});
const presets = JUDGED_PRESETS.split(",").map(preset);

interface Small {
  readonly truth: MeasuredModel;
  readonly kinds: PriorModel;
}

const models: Small[] = [
  ...(await Promise.all(positionals.map(readProbedModel))).map((truth) => ({ truth, kinds: measuredKinds(truth) })),
  ...values.probed.map(readFitted),
];

console.log(
  "| model | mode | mean loss | most loss | correlation | sd | share of kinds |\n|---|---|---|---|---|---|---|",
);
for (const { truth, kinds } of models) {
  const { analysis } = truth;
  const scoresOf = planJudge(truth, presets);
  const others = models.map((other) => other.kinds).filter((other) => other !== kinds);
  const shipped = builtInPrior();
  const grown = growPrior(shipped, others);
  if (values.write !== undefined) writeFileSync(join(values.write, `not-${truth.name}.json`), serializePrior(grown));
  const small = growPrior({ ...shipped, measured: [] }, others);
  const modes = [
    { mode: "uniform", sensitivity: uniformSensitivity(analysis) },
    { mode: "stock", sensitivity: stockSensitivity(analysis) },
    ...[
      { mode: "blend, shipped prior", prior: shipped },
      { mode: `blend, prior of ${others.length} small models more`, prior: grown },
      { mode: `blend, prior of ${others.length} small models alone`, prior: small },
    ].map(({ mode, prior }) => ({
      mode,
      sensitivity: blendSensitivity(analysis, sensitivityFromPrior(analysis, prior)),
      leftOut: growPrior(prior, [kinds]).measured?.find(({ name }) => name === kinds.name)?.leftOut,
    })),
  ];
  for (const { mode, sensitivity, ...more } of modes) {
    const scores = scoresOf(sensitivity, {});
    const most = Math.max(...scores.map(({ loss }) => loss));
    const { correlation, sd, share } = ("leftOut" in more && more.leftOut) || {};
    const cells = [
      ...[truth.name, mode, mean(scores.map(({ loss }) => loss)).toFixed(0)],
      `${most.toFixed(0)} (${presets[scores.findIndex(({ loss }) => loss === most)]})`,
      ...[correlation?.toFixed(2), sd?.toFixed(2), share?.toFixed(0)].map((cell) => cell ?? ""),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}

/** The run's own analysis says what the probes degraded, ANALYSIS (without an importance matrix) what plans cost. */
function readFitted(text: string): Small {
  const [path = "", probes = ""] = text.split("=");
  const analysis = readAnalysis(readFileSync(path, "utf8"), path);
  const document = parseDensities(probes, readFileSync(probes, "utf8"));
  const beside = join(dirname(probes), "analysis.json");
  const own = readAnalysis(readFileSync(beside, "utf8"), beside);
  const name = basename(path, ".json");
  const kld = new Map(
    own.tensors.map((tensor) => [
      tensor.name,
      ((document.densities[tensor.name] ?? 0) * tensor.elements) / importanceScale(tensor),
    ]),
  );
  const { arch, elements } = analysis.model;
  return {
    truth: { name, analysis, probeType: "Q3_K", kld, seen: new Set(kld.keys()) },
    kinds: { name, arch, elements, kinds: probedKinds(own, document.probes ?? []) },
  };
}
