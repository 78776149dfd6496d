/** What the benches on real models share: an analysis, plans quantized and evaluated in one session. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Analysis } from "../src/analyze/analysis.ts";
import { analyze } from "../src/analyze/analyze.ts";
import type { Engine } from "../src/engine/engine.ts";
import type { ModelEvaluation } from "../src/evaluate/evaluation.ts";
import { type EvaluationSession, openSession } from "../src/evaluate/session.ts";
import type { TensorType } from "../src/ggml/tensor-types.ts";
import { readFacts } from "../src/gguf/facts.ts";
import { openModel } from "../src/gguf/open.ts";
import { referenceBackend } from "../src/kernels/reference.ts";
import type { Plan } from "../src/plan/plan.ts";
import { planSpec } from "../src/quantize/plan-spec.ts";
import { type QuantizeSpec, quantize } from "../src/quantize/quantize.ts";
import type { Probe } from "./within-class.ts";

export interface Bench {
  readonly engine: Engine;
  readonly threads: number;
  /** A folder for models, logits and texts; the caller removes it. */
  readonly work: string;
}

/** Analyze a model as `prism analyze` does by default. */
export async function analyzeModel(path: string, { engine, threads }: Bench): Promise<Analysis> {
  const backend = referenceBackend({ threads });
  const file = await openModel(path);
  try {
    return await analyze(file, readFacts(file.model), { engine, backend, seed: 0, threads });
  } finally {
    await Promise.all([file.close(), backend.close()]);
  }
}

/** Evaluates files made of one model on the same chunks. */
export interface Judge {
  of(plan: Plan): Promise<ModelEvaluation>;
  ofSpec(spec: QuantizeSpec): Promise<ModelEvaluation>;
  close(): Promise<void>;
}

/** Open a judge; `text` is a piece of text, not a path. Each file is removed once evaluated. */
export async function openJudge(model: string, text: string, chunks: number, bench: Bench): Promise<Judge> {
  const { engine, threads, work } = bench;
  const output = join(work, "candidate.gguf");
  const textPath = join(work, "text.txt");
  await writeFile(textPath, text);
  let session: EvaluationSession | undefined;
  const ofSpec = async (spec: QuantizeSpec): Promise<ModelEvaluation> => {
    await quantize({ ...spec, output }, { engine, threads, force: true });
    session ??= await openSession({
      engine,
      threads,
      reference: model,
      pilot: output,
      text: textPath,
      chunks,
      seed: 0,
      gpuLayers: 0,
      cacheDir: work,
    });
    try {
      return await session.evaluateModel(output);
    } finally {
      await rm(output, { force: true });
    }
  };
  return {
    of: (plan) => ofSpec(planSpec(plan, model, output)),
    ofSpec,
    close: async () => session?.close(),
  };
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
