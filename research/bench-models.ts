/** What the studies of real models share: an analysis, plans quantized and evaluated in one session. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Analysis } from "../src/analyze/analysis.ts";
import { type AnalyzeRequest, analyze } from "../src/analyze/analyze.ts";
import type { Bench } from "../src/bench.ts";
import type { ModelEvaluation } from "../src/evaluate/evaluation.ts";
import { scoreFile } from "../src/evaluate/score-file.ts";
import { openSession } from "../src/evaluate/session.ts";
import type { TensorType } from "../src/ggml/tensor-types.ts";
import { openLocalModel, openModel } from "../src/gguf/open.ts";
import type { Plan } from "../src/plan/plan.ts";
import { planSpec } from "../src/quantize/plan-spec.ts";
import type { QuantizeSpec } from "../src/quantize/quantize.ts";
import type { Probe } from "./within-class.ts";

/** Analyze a model, as `prism analyze` does where the request is empty. */
export async function analyzeModel(path: string, request: AnalyzeRequest, bench: Bench): Promise<Analysis> {
  const model = await openModel(path);
  return analyze(model, request, bench).finally(() => model.close());
}

/** Evaluates files made of one model on the same chunks. */
export interface Judge {
  of(plan: Plan): Promise<ModelEvaluation>;
  ofSpec(spec: QuantizeSpec): Promise<ModelEvaluation>;
  close(): Promise<void>;
}

export interface JudgeRequest {
  /** A piece of text, not a path. */
  readonly text: string;
  readonly chunks: number;
  /** A folder for the text and for the models, each removed once evaluated; the caller removes it. */
  readonly work: string;
}

/** Open a judge. */
export async function openJudge(path: string, { text, chunks, work }: JudgeRequest, bench: Bench): Promise<Judge> {
  const output = join(work, "candidate.gguf");
  const textPath = join(work, "text.txt");
  await writeFile(textPath, text);
  const source = await openLocalModel(path);
  try {
    const session = await openSession({ reference: source, pilot: source }, { text: textPath, chunks }, bench);
    const ofSpec = (spec: QuantizeSpec) =>
      scoreFile(source, { spec: { ...spec, output }, keep: false }, (model) => session.evaluateModel(model), bench);
    return {
      of: (plan) => ofSpec(planSpec(plan, output)),
      ofSpec,
      async close() {
        await session.close();
        await source.close();
      },
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

export interface Probes {
  readonly probeType: TensorType;
  readonly chunks: number;
  readonly models: Readonly<Record<string, { readonly tensors: Readonly<Record<string, Probe>> }>>;
}

const BOOKS = new URL("data/books-probes.json", import.meta.url);

/** Read what research/probe-tensors.ts printed; by default the committed probes of the two books models. */
export async function readProbes(path: string | URL = BOOKS): Promise<Probes> {
  return JSON.parse(await readFile(path, "utf8")) as Probes;
}
