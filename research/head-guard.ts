/**
 * What the guard of the head costs and saves, by the additive judge (additive-judge.ts): with the guard → without it, all
 * others on, at the bytes of presets; for a prior that lacks the model, its whole architecture, or all of its architecture
 * but one other model with the same kind of head, and after the first probes of a run whose prior lacks the architecture.
 * `npx tsx research/head-guard.ts --data DIR [--mode prior] [--presets Q3_K_M,Q4_K_M] [ANALYSIS...]`, as judge.ts takes them.
 */
import { parseArgs } from "node:util";
import { isHead } from "../src/ggml/tensor-class.ts";
import { fitProbes } from "../src/probes/probe-fit.ts";
import { type ProbedTensor, probeKernel } from "../src/probes/probe-kernel.ts";
import { fromDensity, type Sensitivity } from "../src/sensitivity/sensitivity.ts";
import { sensitivityFromPrior } from "../src/sensitivity/sensitivity-prior.ts";
import { blendSensitivity, stockSensitivity } from "../src/sensitivity/sensitivity-stock.ts";
import { JUDGED_PRESETS, mean, planJudge, preset, priorOf, type Score } from "./additive-judge.ts";
import { type MeasuredModel, readMeasuredModels } from "./measured-kld.ts";
import { readProbedModel } from "./probed-model.ts";

/** The error at which a probe stops (docs/probes.md). */
const PROBE_ERROR = 0.1;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: "string" },
    mode: { type: "string", default: "blend" },
    presets: { type: "string", default: JUDGED_PRESETS },
  },
});
if (values.data === undefined) throw new Error("give --data DIR, the folder of the measured KLD");
const presets = values.presets.split(",").map(preset);
const known = readMeasuredModels(values.data);
const judged = [...known, ...(await Promise.all(positionals.map(readProbedModel)))];

type Situation = (model: MeasuredModel) => Sensitivity[];
const SITUATIONS: Readonly<Record<string, Situation>> = {
  "model left out": (model) => [guess(model, (other) => other !== model)],
  "architecture left out": (model) => [guess(model, (other) => !related(other, model))],
  "one relative known": (model) =>
    relatives(model).map((kept) => guess(model, (other) => other === kept || !related(other, model))),
  ...Object.fromEntries(
    [1, 2, 3, 6].map((probes): [string, Situation] => [
      `${probes} probes`,
      (model) => [probed(model, unprobed(model), probes)],
    ]),
  ),
};

interface Judged {
  readonly model: MeasuredModel;
  /** By situation, of each sensitivity: with the guard, and without. */
  readonly scores: ReadonlyMap<string, readonly (readonly (readonly Score[])[])[]>;
}

const results = judged.map((model): Judged => {
  const scoresOf = planJudge(model, presets);
  const scores = Object.entries(SITUATIONS).map(
    ([situation, of]) =>
      [situation, of(model).map((own) => [scoresOf(own, {}), scoresOf(own, { head: false })])] as const,
  );
  process.stderr.write(`${model.name}\n`);
  return { model, scores: new Map(scores) };
});

const situations = Object.keys(SITUATIONS);
printTable("Mean share of the oracle's gain, percent", situations, ({ scores }, situation) =>
  (scores.get(situation) ?? [])
    .map((pair) => pair.map((own) => mean(own.map(({ share }) => share)).toFixed(0)).join(" → "))
    .join(", "),
);
printTable("Most loss at any preset, percent of the preset's", situations, ({ scores }, situation) =>
  (scores.get(situation) ?? []).map((pair) => pair.map(mostLoss).join(" → ")).join(", "),
);
printTable("Share by preset, model left out", presets, ({ scores }, preset) =>
  (scores.get("model left out") ?? [])
    .map((pair) => pair.map((own) => (own[presets.indexOf(preset as never)]?.share ?? 0).toFixed(0)).join(" → "))
    .join(", "),
);

function printTable(title: string, columns: readonly string[], cell: (result: Judged, column: string) => string): void {
  const heads = ["model", "head", "relatives", ...columns];
  console.log(`\n${title}\n\n| ${heads.join(" | ")} |\n|${heads.map(() => "---|").join("")}`);
  for (const result of results) {
    const { model } = result;
    const known = [model.name, model.analysis.facts.hasOutput ? "output" : "tied", relatives(model).length];
    console.log(`| ${[...known, ...columns.map((column) => cell(result, column) || "-")].join(" | ")} |`);
  }
}

function mostLoss(scores: readonly Score[]): string {
  return Math.max(...scores.map(({ loss }) => loss)).toFixed(1);
}

function guess({ analysis }: MeasuredModel, trainsOn: (other: MeasuredModel) => boolean): Sensitivity {
  // without the models it was fitted to it lifts no guard by itself
  const { measured: _, ...prior } = priorOf(known.filter(trainsOn));
  const sensitivity = sensitivityFromPrior(analysis, prior);
  return values.mode === "prior" ? sensitivity : blendSensitivity(analysis, sensitivity);
}

function related({ analysis }: MeasuredModel, model: MeasuredModel): boolean {
  return analysis.facts.arch === model.analysis.facts.arch;
}

/** What `auto` would be for a model of an architecture nobody measured. */
function unprobed(model: MeasuredModel): Sensitivity {
  const { analysis } = model;
  return analysis.model.elements < 0.5e9 ? stockSensitivity(analysis) : guess(model, (other) => !related(other, model));
}

/** Other models of its architecture with the same kind of head. */
function relatives(model: MeasuredModel): MeasuredModel[] {
  const { hasOutput } = model.analysis.facts;
  return known.filter(
    (other) => other !== model && related(other, model) && other.analysis.facts.hasOutput === hasOutput,
  );
}

/** As a run would know it after its first probes, of the head and the embedding, then of whole classes. */
function probed({ analysis, kld }: MeasuredModel, prior: Sensitivity, probes: number): Sensitivity {
  const { facts } = analysis;
  const eligible = analysis.tensors.filter((tensor) => tensor.eligible);
  const tensors = eligible.map(
    ({ name, class: tensorClass, layer, elements }): ProbedTensor => ({
      name,
      class: tensorClass,
      ...(layer === undefined ? {} : { layer, depth: layer / (facts.layers - 1) }),
      elements,
      logPrior: Math.log((prior.values.get(name) ?? 0) / elements),
    }),
  );
  const isAlone = (name: string) => name === "token_embd.weight" || isHead(name, facts);
  const classes = new Set(tensors.map((tensor) => tensor.class));
  const wholes = [...classes].map((name) => tensors.flatMap((tensor, index) => (tensor.class === name ? [index] : [])));
  const [alone, others] = [true, false].map((wanted) =>
    wholes.filter(([first = -1]) => isAlone(tensors[first]?.name ?? "") === wanted),
  );
  const observations = [
    ...(alone ?? []),
    ...(others ?? []).sort((a, b) => elementsOf(tensors, b) - elementsOf(tensors, a)),
  ]
    .slice(0, probes)
    .map((members) => {
      const parts = members.map((tensor) => ({ tensor, weight: eligible[tensor]?.elements ?? 0 }));
      const sum = members.reduce((total, tensor) => total + (kld.get(eligible[tensor]?.name ?? "") ?? 0), 0);
      return { parts, kld: sum, se: PROBE_ERROR * sum };
    });
  const { logDensity } = fitProbes(probeKernel(tensors), observations);
  const densities = new Map(eligible.map(({ name }, index) => [name, Math.exp(logDensity[index] ?? 0)]));
  const values = fromDensity(analysis, ({ name }) => densities.get(name) ?? 1);
  return { mode: `${probes} probes`, version: "1", lossUnit: "relative", values };
}

function elementsOf(tensors: readonly ProbedTensor[], members: readonly number[]): number {
  return members.reduce((sum, index) => sum + (tensors[index]?.elements ?? 0), 0);
}
