/**
 * What error feedback is worth: stock presets as llama-quantize makes them, with the importance matrix that a run makes,
 * and with codes chosen by error feedback in the same types, by their KL divergence on texts of several kinds; and plans
 * at the bytes of presets, with the matrix and with feedback, made from the errors of rounding and from what feedback
 * leaves of them. Differences are paired over chunks.
 * `npx tsx research/feedback.ts --text [KIND=]FILE ... [--calibration FILE ...] [--presets Q2_K,Q3_K_M] [--plans Q3_K_M]
 * [--run DIR] [--chunks 60] [--context 256] MODEL...`; --run is a run's directory, whose matrix, analysis and probes the
 * plans are made by. Without it plans are those of `prism plan` with the matrix that is made here.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { recordResult } from "../bench/results.ts";
import type { Analysis } from "../src/analyze/analysis.ts";
import { analyze } from "../src/analyze/analyze.ts";
import type { ModelEvaluation } from "../src/evaluate/evaluation.ts";
import { makeImatrix } from "../src/evaluate/make-imatrix.ts";
import { openSession } from "../src/evaluate/session.ts";
import { pairedDifference } from "../src/evaluate/statistics.ts";
import { type FeedbackOutcome, feedbackSpec } from "../src/feedback/feedback.ts";
import { measureFeedback, withoutFeedback } from "../src/feedback/feedback-gains.ts";
import { type FileType, parseFileType } from "../src/ggml/file-types.ts";
import type { OpenModel } from "../src/gguf/model.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { readImatrix } from "../src/imatrix/imatrix.ts";
import { openBench } from "../src/open-bench.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import type { Plan } from "../src/plan/plan.ts";
import { planImatrix, planSpec, presetSpec } from "../src/quantize/plan-spec.ts";
import { type QuantizeSpec, quantize } from "../src/quantize/quantize.ts";
import type { SensitivityMode } from "../src/sensitivity/sensitivity.ts";
import { loadAnalysis } from "../src/verbs/load-document.ts";
import { loadSensitivity } from "../src/verbs/planning-request.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string", multiple: true, default: [] },
    calibration: { type: "string", multiple: true, default: [] },
    context: { type: "string", default: "256" },
    chunks: { type: "string", default: "60" },
    presets: { type: "string", default: "Q2_K,Q3_K_M,Q4_K_M,Q5_K_M" },
    plans: { type: "string", default: "" },
    run: { type: "string" },
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
  const { run } = values;
  const path = run === undefined ? join(work, "imatrix.gguf") : join(run, "imatrix.gguf");
  if (run === undefined) await makeImatrix(source, { output: path, context, head: true }, bench);
  const analysis =
    run === undefined
      ? await analyze(source, { imatrix: await readImatrix(path) }, bench)
      : await loadAnalysis(join(run, "analysis.json"));
  const sensitivity = await loadSensitivity(run === undefined ? {} : { sensitivity: join(run, "probes.json") });
  for (const fileType of fileTypes(values.presets)) {
    const plan = planLike(fileType, analysis, sensitivity.of);
    const imatrix = await planImatrix(plan, source, path);
    // without the keys that a matrix adds to the header
    const { imatrix: _, ...bare } = plan;
    const specOf = (name: string) => presetSpec(plan, fileType, join(work, `${name}.gguf`), imatrix);
    const plain = await make(source, presetSpec(bare, fileType, join(work, "plain.gguf")));
    await compareAll(source, fileType, plan, [plain], specOf);
  }
  if (values.plans === "") return;
  const request = { imatrix: await readImatrix(path), calibration: values.calibration, context };
  const mended = await measureFeedback(source, analysis, request, bench);
  for (const fileType of fileTypes(values.plans)) {
    for (const [measured, suffix] of [
      [withoutFeedback(analysis), ""],
      [mended, ", feedback counted"],
    ] as const) {
      const plan = planLike(fileType, measured, sensitivity.of);
      const imatrix = await planImatrix(plan, source, path);
      const name = `${run === undefined ? "plan" : "probed plan"} like ${fileType}${suffix}`;
      await compareAll(source, name, plan, [], (file) => planSpec(plan, join(work, `${file}.gguf`), imatrix));
    }
  }
}

function fileTypes(names: string): FileType[] {
  return names
    .split(",")
    .filter((name) => name !== "")
    .map((name) => {
      const fileType = parseFileType(name);
      if (fileType === undefined) throw new Error(`${name} is not a preset`);
      return fileType;
    });
}

function planLike(fileType: FileType, analysis: Analysis, weigh: SensitivityMode): Plan {
  return makePlan({ analysis, sensitivity: weigh(analysis), budget: { kind: "like", fileType } });
}

/** Make the files with the matrix and with feedback, and judge them, after those there are already, on every text. */
async function compareAll(
  source: OpenModel,
  types: string,
  plan: Plan,
  before: readonly string[],
  specOf: (file: string) => QuantizeSpec,
): Promise<void> {
  const weighted = await make(source, specOf("weighted"));
  const coded = await makeCoded(source, plan, specOf("coded"));
  for (const text of values.text) await compare(source, types, text, [...before, weighted, coded.path], coded);
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

/** Of files the last is that with feedback, and that before it the one with the matrix. */
async function compare(
  source: OpenModel,
  types: string,
  named: string,
  paths: readonly string[],
  { outcome, seconds }: Coded,
): Promise<void> {
  const [, kind, text] = /^(?:(\w+)=)?(.+)$/.exec(named) as unknown as [string, string | undefined, string];
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
    const [weighted, coded] = measured.slice(-2);
    const difference = pairedDifference(coded?.perChunk?.kld ?? [], weighted?.perChunk?.kld ?? []);
    const base = klds.at(-2)?.mean ?? Number.NaN;
    const change = `${((100 * difference.value) / base).toFixed(1)} ± ${((100 * difference.se) / base).toFixed(1)} %`;
    const cells = klds.map(({ mean, se }) => `${mean.toPrecision(3)} ± ${se.toPrecision(2)}`);
    if (cells.length < 3) cells.unshift("");
    const held = `${outcome.ratio.toFixed(2)}, ${outcome.kept} kept`;
    const judged = kind ?? basename(text);
    const row = [basename(source.path), types, judged, ...cells, change, held, `${seconds.toFixed(0)} s`];
    console.log(`| ${row.join(" | ")} |`);
    const ours = values.calibration.map((file) => basename(file));
    const figures = {
      model: basename(source.path),
      ...{ types, text: judged, calibration: ours, klds, difference, outcome, seconds },
    };
    await recordResult({ bench: "feedback", figures });
  } finally {
    await session.close();
  }
}
