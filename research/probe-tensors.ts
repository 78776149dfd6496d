/**
 * The KL divergence that each single tensor causes: one tensor in Q3_K, all others in F16, evaluated on the last part
 * of a text. Prints a JSON document with the probes and the metrics of each tensor, for research/metrics.ts and
 * research/ablation.ts: `npx tsx research/probe-tensors.ts --text FILE [--chunks 80] [--threads 1] MODEL... > probes.json`.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import type { Analysis, TensorAnalysis } from "../src/analyze/analysis.ts";
import type { TensorType } from "../src/ggml/tensor-types.ts";
import { openBench } from "../src/open-bench.ts";
import { planFromTypes } from "../src/plan/plan-from-types.ts";
import { uniformSensitivity } from "../src/sensitivity/sensitivity.ts";
import { analyzeModel, openJudge } from "./bench-models.ts";

const PROBE_TYPE: TensorType = "Q3_K";
/** Bytes of text per chunk that are always enough: 256 tokens of at most 6 bytes on average. */
const BYTES_PER_CHUNK = 1536;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string" },
    chunks: { type: "string", default: "80" },
    threads: { type: "string", default: "1" },
  },
});
if (values.text === undefined || positionals.length === 0) throw new Error("give --text FILE and at least one model");

const chunks = Number(values.chunks);
const threads = Number(values.threads);
const work = await mkdtemp(join(tmpdir(), "prism-probes-"));
const bench = await openBench({ threads, backend: "reference", cacheDir: work });
const text = (await readFile(values.text, "utf8")).slice(-chunks * BYTES_PER_CHUNK);
try {
  const models: Record<string, unknown> = {};
  for (const model of positionals) models[basename(model, ".gguf")] = await probeModel(model);
  console.log(JSON.stringify({ probeType: PROBE_TYPE, chunks, models }, null, 1));
} finally {
  await bench.close();
  await rm(work, { recursive: true, force: true });
}

async function probeModel(model: string) {
  const analysis = await analyzeModel(model, {}, bench);
  const eligible = analysis.tensors.filter((tensor) => tensor.eligible);
  const judge = await openJudge(model, { text, chunks, work }, bench);
  const tensors: Record<string, unknown> = {};
  try {
    for (const tensor of eligible) {
      const { kld } = await judge.of(onlyTensor(analysis, eligible, tensor));
      if (kld === undefined) throw new Error(`no KL divergence for ${tensor.name}`);
      const distortion = tensor.distortion?.[PROBE_TYPE]?.value;
      tensors[tensor.name] = { kld: kld.mean, se: kld.se, distortion, elements: tensor.elements };
      process.stderr.write(`${basename(model)} ${tensor.name} ${kld.mean.toExponential(3)}\n`);
    }
  } finally {
    await judge.close();
  }
  return { arch: analysis.model.arch, tensors };
}

/** The plan with one tensor in the probe type and the others in F16. */
function onlyTensor(analysis: Analysis, eligible: readonly TensorAnalysis[], { name }: TensorAnalysis) {
  const types = new Map(eligible.map((tensor): [string, TensorType] => [tensor.name, "F16"]));
  types.set(name, PROBE_TYPE);
  return planFromTypes({
    analysis,
    sensitivity: uniformSensitivity(analysis),
    types,
    text: `${name} in ${PROBE_TYPE}`,
    baseFileType: "Q3_K_M",
  });
}
