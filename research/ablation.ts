/**
 * What each sensitivity is worth in real KL divergence, at the bytes of presets, one type per tensor and per class:
 * s = 1, uniform, stock, prior, blend, stock and prior with the metrics within classes, the composite of the seven
 * metrics, and probes of every tensor (research/data/books-probes.json, of the end of the text; here its beginning counts).
 * `npx tsx research/ablation.ts --text FILE [--chunks 80] [--threads 1] [--presets Q3_K_M,Q4_K_M] MODEL MODEL`
 * The metrics' weights on one model are those fitted on the others. Differences to uniform are paired over chunks.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import type { ModelEvaluation } from "../src/evaluate/evaluation.ts";
import { pairedDifference } from "../src/evaluate/statistics.ts";
import { type FileType, parseFileType } from "../src/ggml/file-types.ts";
import { openBench } from "../src/open-bench.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import type { Plan } from "../src/plan/plan.ts";
import { presetSpec, typedFileBytes, uniformSpec, uniformTypes } from "../src/quantize/plan-spec.ts";
import { formatMeanSe } from "../src/report/terminal/mean-se.ts";
import { neighbourTypes } from "../src/run/candidates.ts";
import type { FrontPoint } from "../src/run/front.ts";
import { interpolateAt } from "../src/run/row-distance.ts";
import { fromDensity, prismSensitivity, type Sensitivity, uniformSensitivity } from "../src/sensitivity/sensitivity.ts";
import { priorSensitivity } from "../src/sensitivity/sensitivity-prior.ts";
import { blendSensitivity, stockSensitivity } from "../src/sensitivity/sensitivity-stock.ts";
import { analyzeModel, openJudge, readProbes } from "./bench-models.ts";
import { metricScore, type ProbedModel, withMetrics } from "./within-class.ts";

/** A difference under this many standard errors is a tie. */
const TIE = 2;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string" },
    chunks: { type: "string", default: "80" },
    threads: { type: "string", default: "1" },
    presets: { type: "string", default: "Q3_K_M,Q4_K_M" },
    probes: { type: "string" },
  },
});
if (values.text === undefined || positionals.length === 0) throw new Error("give --text FILE and models");

interface Subject extends ProbedModel {
  readonly path: string;
}

const threads = Number(values.threads);
const work = await mkdtemp(join(tmpdir(), "prism-ablation-"));
const bench = await openBench({ threads, backend: "reference", cacheDir: work });
try {
  const probes = await readProbes(values.probes);
  const subjects: Subject[] = [];
  for (const path of positionals) {
    const own = probes.models[basename(path, ".gguf")]?.tensors;
    if (own === undefined) throw new Error(`no probes of ${path}; make them with research/probe-tensors.ts`);
    subjects.push({ path, analysis: await analyzeModel(path, {}, bench), probes: own });
  }
  console.log(
    `${cpus()[0]?.model}, ${threads} threads, llama.cpp ${bench.engine.info.version}, ${values.chunks} chunks; ` +
      "KLD ± SE, then the difference to uniform per tensor",
  );
  for (const subject of subjects) {
    const others = subjects.filter((other) => other !== subject);
    for (const preset of values.presets.split(",")) await ablate(subject, others, parseFileType(preset) ?? "Q3_K_M");
  }
} finally {
  await bench.close();
  await rm(work, { recursive: true, force: true });
}

async function ablate(subject: Subject, others: readonly Subject[], fileType: FileType): Promise<void> {
  const { path, analysis } = subject;
  const text = await readFile(values.text ?? "", "utf8");
  const judge = await openJudge(path, { text, chunks: Number(values.chunks), work }, bench);
  const plan = (sensitivity: Sensitivity, mode: Plan["mode"]) =>
    makePlan({
      analysis,
      sensitivity,
      mode: mode === "class" ? "class" : "tensor",
      budget: { kind: "like", fileType },
      ...(sensitivity.mode === "probes" ? { guards: { head: false } } : {}),
    });
  try {
    const uniform = plan(uniformSensitivity(analysis), "tensor");
    const control = await judge.of(uniform);
    console.log(`\n${basename(path, ".gguf")} at the bytes of ${fileType}\n\n| sensitivity | per tensor | per class |`);
    console.log("|---|---|---|");
    const stock = await judge.ofSpec(presetSpec(uniform, fileType, join(work, "candidate.gguf")));
    console.log(`| ${fileType} itself | ${describe(stock, control)} | |`);
    const around: FrontPoint[] = [];
    for (const type of neighbourTypes(uniform)) {
      const evaluation = await judge.ofSpec(uniformSpec(uniform, type, join(work, "candidate.gguf")));
      // every candidate has the same path: its size is what the plan says
      around.push({
        value: evaluation.kld?.mean ?? 0,
        fileBytes: typedFileBytes(uniform, uniformTypes(uniform, type)),
      });
    }
    const between = interpolateAt(around, uniform.predicted.fileBytes);
    console.log(`| uniform types, interpolated | ${describeMean(between, control)} | |`);
    for (const [label, sensitivity] of Object.entries(sensitivities(subject, others))) {
      const ofTensors = label === "uniform" ? control : await judge.of(plan(sensitivity, "tensor"));
      const ofClasses = await judge.of(plan(sensitivity, "class"));
      console.log(`| ${label} | ${describe(ofTensors, control)} | ${describe(ofClasses, control)} |`);
    }
  } finally {
    await judge.close();
  }
}

function sensitivities({ analysis, probes }: Subject, others: readonly Subject[]): Record<string, Sensitivity> {
  const [prior, stock] = [priorSensitivity(analysis), stockSensitivity(analysis)];
  const of = (mode: string, density: Parameters<typeof fromDensity>[1]): Sensitivity => ({
    mode,
    version: "ablation",
    lossUnit: "relative",
    values: fromDensity(analysis, density),
  });
  const score = metricScore(analysis, others);
  return {
    "s = 1": of("s = 1", ({ elements }) => 1 / elements),
    uniform: uniformSensitivity(analysis),
    stock,
    "stock + metrics": withMetrics(analysis, stock, score),
    prior,
    blend: blendSensitivity(analysis, prior),
    "prior + metrics": withMetrics(analysis, prior, score),
    prism: prismSensitivity(analysis),
    "probes of every tensor": of("probes", ({ name, elements }) => {
      const probe = probes[name];
      return probe === undefined ? 0 : probe.kld / (probe.distortion * elements);
    }),
  };
}

function describe({ kld, perChunk }: ModelEvaluation, control: ModelEvaluation): string {
  const [own, other] = [perChunk?.kld, control.perChunk?.kld];
  if (kld === undefined || own === undefined || other === undefined) return "-";
  const measured = formatMeanSe({ value: kld.mean, se: kld.se });
  if (own === other) return measured;
  const { value, se } = pairedDifference(own, other);
  const verdict = Math.abs(value) <= TIE * se ? "tie" : value < 0 ? "better" : "worse";
  return `${measured}, ${((100 * value) / (control.kld?.mean ?? 1)).toFixed(1)} % ${verdict}`;
}

/** A KLD without chunks to pair. */
function describeMean(kld: number | undefined, control: ModelEvaluation): string {
  if (kld === undefined) return "-";
  return `${kld.toPrecision(4)}, ${(100 * (kld / (control.kld?.mean ?? 1) - 1)).toFixed(1)} %`;
}
