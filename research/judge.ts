/**
 * The additive judge: what a sensitivity is worth on models whose tensors were measured one by one.
 * `npx tsx research/judge.ts --data DIR [--presets Q3_K_M,Q4_K_M] [--models GLM,books] [--beliefs 0.1,0.5] [ANALYSIS...]`,
 * DIR holding the measured KLD (measured-kld.ts; it is not part of this repository), ANALYSIS being of a model in
 * research/data/books-probes.json (`prism analyze MODEL -o`); no prior is fitted to those.
 *
 * Losses are additive (additive-judge.ts); share = (stock − plan) / (stock − oracle) at the bytes of a preset: stock is llama-quantize's own mix, oracle our
 * solver given the measurement of every tensor, without guards. All plans are the planner's own; D is Gaussian, in
 * models given by their analysis their own.
 */
import { parseArgs } from "node:util";
import type { GuardSwitches } from "../src/plan/guards.ts";
import { priorKind } from "../src/sensitivity/prior-kind.ts";
import { fromDensity, type Sensitivity, uniformSensitivity } from "../src/sensitivity/sensitivity.ts";
import { sensitivityFromPrior } from "../src/sensitivity/sensitivity-prior.ts";
import { blendSensitivity, stockSensitivity } from "../src/sensitivity/sensitivity-stock.ts";
import { JUDGED_PRESETS, mean, NO_GUARDS, planJudge, preset, priorOf, type Score } from "./additive-judge.ts";
import { measuredKinds } from "./measured-kinds.ts";
import { type MeasuredModel, readMeasuredModels } from "./measured-kld.ts";
import { readProbedModel } from "./probed-model.ts";
import { metricScore, withMetrics } from "./within-class.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: "string" },
    presets: { type: "string", default: JUDGED_PRESETS },
    models: { type: "string", default: "" },
    beliefs: { type: "string", default: "" },
  },
});
if (values.data === undefined) throw new Error("give --data DIR, the folder of the measured KLD");
const presets = values.presets.split(",").map(preset);
const models = readMeasuredModels(values.data);
const probed = await Promise.all(positionals.map(readProbedModel));
const judgedModels = [...models, ...probed].filter(({ name }) =>
  values.models.split(",").some((part) => name.includes(part)),
);

type Mode = (model: MeasuredModel) => Sensitivity | undefined;

const MODES: Readonly<Record<string, Mode>> = {
  uniform: ({ analysis }) => uniformSensitivity(analysis),
  stock: ({ analysis }) => stockSensitivity(analysis),
  "stock + metrics": stockWithMetrics,
  ...leftOut("prior", (_, prior) => prior),
  ...leftOut("blend", blendSensitivity),
  "own class densities": ownClasses,
  ...Object.fromEntries(
    (values.beliefs.match(/[^,]+/g) ?? []).map((text): [string, Mode] => [
      `stock at ${text}`,
      ({ analysis }) => stockSensitivity(analysis, Number(text)),
    ]),
  ),
};

const judged = judgedModels.map((model) => ({ model, ...judge(model) }));
for (const setting of ["guarded", "unguarded"] as const) {
  const what = `${setting === "guarded" ? "with" : "without"} guards`;
  printTable(`Mean share of the oracle's gain over the presets, percent, ${what}`, setting, ({ mean }) => mean);
  printTable(`Least share at any of the presets, percent, and where, ${what}`, setting, ({ least }) => least);
  printTable(`Most loss at any preset, percent of the preset's, and where, ${what}`, setting, ({ worst }) => worst);
}

type Scores = ReadonlyMap<string, readonly Score[]>;

/** Score every mode at every preset. */
function judge(model: MeasuredModel): { guarded: Scores; unguarded: Scores } {
  const scoresOf = planJudge(model, presets);
  const sensitivities = Object.entries(MODES).map(([label, mode]) => ({ label, sensitivity: mode(model) }));
  const all = (guards: GuardSwitches) =>
    new Map(
      sensitivities.flatMap(({ label, sensitivity }) =>
        sensitivity === undefined ? [] : [[label, scoresOf(sensitivity, guards)] as const],
      ),
    );
  process.stderr.write(`${model.name}\n`);
  return { guarded: all({}), unguarded: all(NO_GUARDS) };
}

/** The mode with a prior fitted without the model, and without all of its architecture. */
function leftOut(name: string, of: (analysis: MeasuredModel["analysis"], prior: Sensitivity) => Sensitivity) {
  const mode =
    (trainsOn: (other: MeasuredModel, model: MeasuredModel) => boolean): Mode =>
    (model) => {
      const prior = priorOf(models.filter((other) => trainsOn(other, model)));
      return of(model.analysis, sensitivityFromPrior(model.analysis, prior));
    };
  return {
    [`${name}, model left out`]: mode((other, model) => other !== model),
    [`${name}, architecture left out`]: mode((other, model) => other.analysis.facts.arch !== model.analysis.facts.arch),
  };
}

/** With what the other probed models' metrics said; nothing for a model without metrics. */
function stockWithMetrics({ name, analysis }: MeasuredModel): Sensitivity | undefined {
  const others = probed.filter((other) => other.name !== name);
  if (others.length === probed.length || others.length === 0) return undefined;
  return withMetrics(analysis, stockSensitivity(analysis), metricScore(analysis, others));
}

/** The best that kinds of tensors can tell: the model's own mean of each. */
function ownClasses(model: MeasuredModel): Sensitivity {
  const own = new Map(measuredKinds(model).kinds.map(({ name, lnDensity }) => [name, Math.exp(lnDensity)]));
  const mean = [...own.values()].reduce((sum, density) => sum + density, 0) / own.size;
  const { analysis } = model;
  const values = fromDensity(analysis, (tensor) => own.get(priorKind(tensor, analysis.facts).name) ?? mean);
  return { mode: "own classes", version: "1", lossUnit: "relative", values };
}

function printTable(
  title: string,
  setting: "guarded" | "unguarded",
  cell: (summary: ReturnType<typeof summarize>) => string,
): void {
  const labels = Object.keys(MODES);
  console.log(
    `\n${title}\n\n| model | architecture | ${labels.join(" | ")} |\n|---|---|${"---|".repeat(labels.length)}`,
  );
  for (const { model, [setting]: byMode } of judged) {
    const cells = labels.map((label) => {
      const scores = byMode.get(label);
      return scores === undefined ? "-" : cell(summarize(scores));
    });
    console.log(`| ${[model.name, model.analysis.facts.arch, ...cells].join(" | ")} |`);
  }
}

function summarize(own: readonly Score[]): { mean: string; least: string; worst: string } {
  const at = (value: number, score: keyof Score) => {
    const index = own.findIndex((entry) => entry[score] === value);
    return `${value.toFixed(0)} (${presets[index]})`;
  };
  return {
    mean: mean(own.map(({ share }) => share)).toFixed(0),
    least: at(Math.min(...own.map(({ share }) => share)), "share"),
    worst: at(Math.max(...own.map(({ loss }) => loss)), "loss"),
  };
}
