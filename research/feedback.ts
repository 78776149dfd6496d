/**
 * What error feedback is worth: stock presets as llama-quantize makes them, with the importance matrix that a run makes,
 * and with codes chosen by error feedback in the same types, by their KL divergence on several texts. Differences are
 * paired over chunks. `npx tsx research/feedback.ts --text FILE [--text FILE ...] [--calibration FILE ...] [--chunks 60]
 * [--context 256] [--presets Q2_K,Q3_K_M,Q4_K_M] MODEL...`
 */
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { recordResult } from "../bench/results.ts";
import { analyze } from "../src/analyze/analyze.ts";
import type { ModelEvaluation } from "../src/evaluate/evaluation.ts";
import { makeImatrix } from "../src/evaluate/make-imatrix.ts";
import { openSession } from "../src/evaluate/session.ts";
import { pairedDifference } from "../src/evaluate/statistics.ts";
import { type FeedbackOutcome, feedbackSpec } from "../src/feedback/feedback.ts";
import { parseFileType } from "../src/ggml/file-types.ts";
import type { OpenModel } from "../src/gguf/model.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { readImatrix } from "../src/imatrix/imatrix.ts";
import { openBench } from "../src/open-bench.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import type { Plan } from "../src/plan/plan.ts";
import { presetSpec } from "../src/quantize/plan-spec.ts";
import { type QuantizeSpec, quantize } from "../src/quantize/quantize.ts";
import { uniformSensitivity } from "../src/sensitivity/sensitivity.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string", multiple: true, default: [] },
    calibration: { type: "string", multiple: true, default: [] },
    context: { type: "string", default: "256" },
    chunks: { type: "string", default: "60" },
    presets: { type: "string", default: "Q2_K,Q3_K_M,Q4_K_M,Q5_K_M" },
    threads: { type: "string", default: "2" },
  },
});
const threads = Number(values.threads);
const context = Number(values.context);
const work = await mkdtemp(join(tmpdir(), "prism-feedback-"));
const bench = await openBench({ threads, backend: "reference", cacheDir: join(work, "cache") });

console.log(
  `${cpus()[0]?.model}, ${threads} threads, llama.cpp ${bench.engine.info.version}, ${values.chunks} chunks\n`,
);
console.log(
  "| model | types of | text | llama-quantize | with imatrix | error feedback | to imatrix | held-out error | time |",
);
console.log("|---|---|---|---|---|---|---|---|---|");
try {
  for (const path of positionals) {
    const source = await openLocalModel(path);
    await benchModel(source).finally(() => source.close());
  }
} finally {
  await bench.close();
  await rm(work, { recursive: true, force: true });
}

async function benchModel(source: OpenModel): Promise<void> {
  const path = join(work, "imatrix.gguf");
  await makeImatrix(source, { output: path, context, head: true }, bench);
  const imatrix = await readImatrix(path);
  const analysis = await analyze(source, { imatrix }, bench);
  const sensitivity = uniformSensitivity(analysis);
  for (const preset of values.presets.split(",")) {
    const fileType = parseFileType(preset);
    if (fileType === undefined) throw new Error(`${preset} is not a preset`);
    const plan = makePlan({ analysis, sensitivity, budget: { kind: "like", fileType } });
    // without the keys that a matrix adds to the header
    const { imatrix: _, ...bare } = plan;
    const specOf = (name: string) => presetSpec(plan, fileType, join(work, `${name}.gguf`), imatrix);
    const plain = await make(source, presetSpec(bare, fileType, join(work, "plain.gguf")));
    const weighted = await make(source, specOf("weighted"));
    const coded = await makeCoded(source, plan, specOf("coded"));
    for (const text of values.text) await compare(source, preset, text, [plain, weighted, coded.path], coded);
  }
}

async function make(source: OpenModel, spec: QuantizeSpec): Promise<string> {
  return (await quantize(source, spec, { force: true }, bench)).path;
}

interface Coded {
  readonly path: string;
  readonly outcome: FeedbackOutcome;
  readonly seconds: number;
}

async function makeCoded(source: OpenModel, plan: Plan, stock: QuantizeSpec): Promise<Coded> {
  const started = performance.now();
  const { spec, outcome } = feedbackSpec(source, plan, stock, { calibration: values.calibration, context }, bench);
  const path = await make(source, spec);
  return { path, outcome: outcome() as FeedbackOutcome, seconds: (performance.now() - started) / 1000 };
}

async function compare(
  source: OpenModel,
  preset: string,
  text: string,
  paths: readonly [plain: string, weighted: string, coded: string],
  { outcome, seconds }: Coded,
): Promise<void> {
  const session = await openSession(
    { reference: source, pilot: source },
    { context, text, chunks: Number(values.chunks), spread: true },
    bench,
  );
  try {
    const measured: ModelEvaluation[] = [];
    for (const path of paths) {
      const model = await openLocalModel(path);
      measured.push(await session.evaluateModel(model).finally(() => model.close()));
    }
    const klds = measured.map(({ kld }) => kld as NonNullable<typeof kld>);
    const [, weighted, coded] = measured;
    const difference = pairedDifference(coded?.perChunk?.kld ?? [], weighted?.perChunk?.kld ?? []);
    const base = klds[1]?.mean ?? Number.NaN;
    const change = `${((100 * difference.value) / base).toFixed(1)} ± ${((100 * difference.se) / base).toFixed(1)} %`;
    const cells = klds.map(({ mean, se }) => `${mean.toPrecision(3)} ± ${se.toPrecision(2)}`);
    const held = `${outcome.ratio.toFixed(2)}, ${outcome.kept} kept`;
    const row = [basename(source.path), preset, basename(text), ...cells, change, held, `${seconds.toFixed(0)} s`];
    console.log(`| ${row.join(" | ")} |`);
    const ours = values.calibration.map((file) => basename(file));
    const figures = {
      model: basename(source.path),
      ...{ preset, text: basename(text), calibration: ours, klds, difference, outcome, seconds },
    };
    await recordResult({ bench: "feedback", figures });
  } finally {
    await session.close();
  }
}
