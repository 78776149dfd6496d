/**
 * What probes are worth: at the bytes of stock presets, the KL divergence of the preset, of plans with s = elements,
 * with probes of whole classes, with the default number of probes, with every tensor probed alone, and of shuffles of
 * the densities that the default probes gave. Differences are paired over the chunks of the verdict, which the probes
 * never see. `npx tsx research/refine.ts [--text FILE] [--chunks 100] [--probes 40] [--budgets Q3_K_M,Q4_K_M] MODEL...`
 */
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { recordResult } from "../bench/results.ts";
import type { Analysis } from "../src/analyze/analysis.ts";
import { analyze } from "../src/analyze/analyze.ts";
import type { Bench } from "../src/bench.ts";
import type { LoadedModel } from "../src/engine/engine.ts";
import { scoreFile } from "../src/evaluate/score-file.ts";
import { type EvaluationSession, openSession } from "../src/evaluate/session.ts";
import { pairedDifference } from "../src/evaluate/statistics.ts";
import { type FileType, parseFileType } from "../src/ggml/file-types.ts";
import type { OpenModel } from "../src/gguf/model.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { openBench } from "../src/open-bench.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import { probeableTensors, probeModel } from "../src/probes/probe-model.ts";
import { openProbeSite } from "../src/probes/probe-site.ts";
import { openProbeStore } from "../src/probes/probe-store.ts";
import { readProbeText } from "../src/probes/probe-text.ts";
import { planSpec, presetSpec } from "../src/quantize/plan-spec.ts";
import type { QuantizeSpec } from "../src/quantize/quantize.ts";
import { type Sensitivity, uniformSensitivity } from "../src/sensitivity/sensitivity.ts";
import { shuffleSensitivity } from "../src/sensitivity/shuffle.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string" },
    context: { type: "string", default: "256" },
    chunks: { type: "string", default: "100" },
    probes: { type: "string", default: "40" },
    budgets: { type: "string", default: "Q2_K,Q3_K_M,Q4_K_M,Q5_K_M,Q6_K" },
    threads: { type: "string", default: "1" },
  },
});
const threads = Number(values.threads);
const context = Number(values.context);
const { text } = values;
const work = await mkdtemp(join(tmpdir(), "prism-refine-"));
const bench = await openBench({ threads, backend: "reference", cacheDir: join(work, "cache") });

/** Chunks of the text of probes and of trials, and chunks of an average probe. */
const PROBED = { textChunks: 16, trialChunks: 64 } as const;
const CHUNKS_PER_PROBE = 4;

interface Scored {
  readonly kld: number;
  readonly se: number;
  readonly perChunk: readonly number[];
}

console.log(
  `${cpus()[0]?.model}, ${threads} threads, llama.cpp ${bench.engine.info.version}, ${values.chunks} chunks\n`,
);
console.log(
  "| model | bytes of | preset | s = elements | shuffles | class probes | default | every tensor | to preset | to s = elements | to the best shuffle | share |",
);
console.log("|---|---|---|---|---|---|---|---|---|---|---|---|");
try {
  for (const model of positionals) await benchModel(model);
} finally {
  await bench.close();
  await rm(work, { recursive: true, force: true });
}

async function benchModel(path: string): Promise<void> {
  const source = await openLocalModel(path);
  try {
    await benchSource(source);
  } finally {
    await source.close();
  }
}

async function benchSource(source: OpenModel): Promise<void> {
  const analysis = await analyze(source, {}, bench);
  const fits = await fitAll(source, analysis);
  const request = { context, text, chunks: Number(values.chunks) };
  const session = await openSession({ reference: source, pilot: source }, request, bench);
  try {
    for (const name of values.budgets.split(",")) {
      const budget = parseFileType(name);
      if (budget === undefined) throw new Error(`${name} is not a preset`);
      await benchBudget(source, analysis, fits, session, budget);
    }
  } finally {
    await session.close();
  }
}

type Fits = Awaited<ReturnType<typeof fitAll>>;

/** The same site and store for all three: what one probed, the next finds. */
async function fitAll(source: OpenModel, analysis: Analysis) {
  const steps = (what: string, done: number, total: number, latest = "") =>
    console.error(`${what} ${done}/${total} ${latest}`);
  const told: Bench = { ...bench, progress: { note: console.error, steps } };
  const request = {
    analysis,
    context,
    scratch: join(work, "scratch"),
    textOf: (loaded: LoadedModel) => readProbeText(loaded, source, { context, text, ...PROBED }, bench),
  };
  const site = await openProbeSite(source, request, told);
  try {
    const store = await openProbeStore(join(work, "probes"), basename(source.path), bench);
    const prior = uniformSensitivity(analysis);
    const probe = async (probes: number) => {
      const budget = { probes, chunks: probes * CHUNKS_PER_PROBE };
      const started = performance.now();
      const probed = await probeModel({ analysis, prior, site, store, budget }, told);
      return { ...probed, ms: Math.round(performance.now() - started) };
    };
    const classes = new Set(analysis.tensors.filter(({ eligible }) => eligible).map((tensor) => tensor.class)).size;
    const everyTensor = probeableTensors(analysis);
    return {
      classes: await probe(classes),
      usual: await probe(Math.min(Number(values.probes), everyTensor - 1)),
      every: await probe(everyTensor),
    };
  } finally {
    await site.close();
  }
}

async function benchBudget(
  source: OpenModel,
  analysis: Analysis,
  fits: Fits,
  session: EvaluationSession,
  fileType: FileType,
): Promise<void> {
  const output = join(work, "candidate.gguf");
  const budget = { kind: "like", fileType, text: `--like ${fileType}` } as const;
  const planOf = (sensitivity: Sensitivity) => makePlan({ analysis, sensitivity, budget });
  const score = async (spec: QuantizeSpec): Promise<Scored> => {
    const evaluate = (model: OpenModel) => session.evaluateModel(model);
    const { kld, perChunk } = await scoreFile(source, { spec, keep: false }, evaluate, bench);
    return { kld: kld?.mean ?? 0, se: kld?.se ?? 0, perChunk: perChunk?.kld ?? [] };
  };
  const scorePlan = (sensitivity: Sensitivity) => score(planSpec(planOf(sensitivity), output));
  const uniform = uniformSensitivity(analysis);
  const preset = await score(presetSpec(planOf(uniform), fileType, output));
  const uniformS = await scorePlan(uniform);
  const shuffles: Scored[] = [];
  for (const seed of [1, 2, 3])
    shuffles.push(await scorePlan(shuffleSensitivity(analysis, fits.usual.sensitivity, seed)));
  const classes = await scorePlan(fits.classes.sensitivity);
  const usual = await scorePlan(fits.usual.sensitivity);
  const every = await scorePlan(fits.every.sensitivity);
  const best = shuffles.reduce((a, b) => (a.kld < b.kld ? a : b));
  const share = (preset.kld - usual.kld) / (preset.kld - every.kld);
  const name = basename(source.path, ".gguf");
  console.log(
    `| ${[name, fileType, shown(preset), shown(uniformS), shuffles.map(shown).join(", "), shown(classes), shown(usual), shown(every), difference(usual, preset), difference(usual, uniformS), difference(usual, best), `${(100 * share).toFixed(0)} %`].join(" | ")} |`,
  );
  await recordResult({
    bench: "refine",
    figures: {
      model: name,
      fileType,
      text: text === undefined ? "sampled" : basename(text),
      chunks: session.text.chunks,
      kld: {
        preset: preset.kld,
        uniform: uniformS.kld,
        shuffles: shuffles.map(({ kld }) => kld),
        classes: classes.kld,
        probes: usual.kld,
        everyTensor: every.kld,
      },
      probes: fits.usual.measurements.length,
      probesMs: fits.usual.ms,
      predicted: planOf(fits.usual.sensitivity).predicted.loss,
      share,
    },
  });
}

function shown({ kld, se }: Scored): string {
  return `${kld.toPrecision(3)} ± ${se.toPrecision(1)}`;
}

/** KLD of `plan` minus `control`, in percent of the control and in standard errors. */
function difference(plan: Scored, control: Scored): string {
  const { value, se } = pairedDifference(plan.perChunk, control.perChunk);
  return `${((100 * value) / control.kld).toFixed(1)} % (${(value / se).toFixed(1)} SE)`;
}
