/** The rows of a run: each candidate is quantized, evaluated in one session, and kept or deleted. */
import { rm } from "node:fs/promises";
import { writeFileAside } from "../disk/aside-file.ts";
import { assembleEvaluation } from "../evaluate/evaluate.ts";
import type { Evaluation, ModelEvaluation, RankedModel, RerankEvaluation } from "../evaluate/evaluation.ts";
import { type EvaluationSession, openSession, type SessionOptions } from "../evaluate/session.ts";
import type { Plan } from "../plan/plan.ts";
import { isQuantized, quantize } from "../quantize/quantize.ts";
import { assembleRerankEvaluation, joinRerank, openRerankSession, type RerankSession } from "../rerank/rerank.ts";
import type { Candidate } from "./candidates.ts";
import type { Measures } from "./measures.ts";
import type { Run } from "./run-document.ts";
import type { RunOptions } from "./run-options.ts";
import { addRow, judgeRun, referenceRow, rowOf } from "./run-rows.ts";
import { type RunDirectory, saveRun } from "./run-state.ts";

/** Finish the rows that `begun` lacks; the plan comes first. The state is saved after each. */
export async function evaluateCandidates(
  options: RunOptions,
  directory: RunDirectory,
  begun: Run,
  candidates: readonly Candidate[],
  plan: Plan,
  measures: Measures = { text: true, rerank: false },
): Promise<Run> {
  let state = begun;
  let session: EvaluationSession | undefined;
  let ranking: RerankSession | undefined;
  try {
    for (const candidate of candidates) {
      const { label, slug, spec } = candidate;
      const kept = candidate.kind === "plan" || (options.keepModels ?? false);
      const evaluated = state.rows.some((row) => row.label === label);
      if (kept || !evaluated) await quantizeCandidate(options, candidate);
      if (!evaluated) {
        if (measures.text) session ??= await openSession(sessionOptions(options, directory, state, spec.output));
        if (measures.rerank) ranking ??= await openRanking(options);
        options.onStage?.(`evaluating ${label}`);
        const evaluation = await session?.evaluateModel(spec.output);
        const ranked = await ranking?.rankModel(spec.output);
        const document = assembleDocument(options, session, evaluation, ranking, ranked);
        await writeFileAside(directory.evaluation(slug), `${JSON.stringify(document, null, 2)}\n`);
        const row = rowOf(candidate, { evaluation, ranked }, plan);
        state = addRow(state, row, referenceRow(plan, session), { session, ranking });
        state = judgeRun(state, options.gates, false);
        await saveRun(directory, state);
      }
      if (!kept) await rm(spec.output, { force: true });
    }
  } finally {
    await session?.close();
  }
  return state;
}

function openRanking(options: RunOptions): Promise<RerankSession> {
  const { engine, model, rerankSet, threads, gpuLayers, signal, onProgress } = options;
  options.onStage?.("ranking documents with the reference");
  return openRerankSession({
    engine,
    reference: model,
    threads,
    gpuLayers,
    ...(rerankSet === undefined ? {} : { set: rerankSet }),
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
}

function assembleDocument(
  { engine }: RunOptions,
  session: EvaluationSession | undefined,
  evaluation: ModelEvaluation | undefined,
  ranking: RerankSession | undefined,
  ranked: RankedModel | undefined,
): Evaluation | RerankEvaluation | undefined {
  const judged =
    session === undefined || evaluation === undefined
      ? undefined
      : assembleEvaluation({ engine }, session, [evaluation]);
  if (ranking === undefined || ranked === undefined) return judged;
  const ranks = assembleRerankEvaluation(engine, ranking, [ranked]);
  return judged === undefined ? ranks : joinRerank(judged, ranks);
}

/** Quantize, unless an interrupted run did already. */
export async function quantizeCandidate(options: RunOptions, { label, spec }: Candidate): Promise<void> {
  if (await isQuantized(spec)) return;
  const stage = `quantizing ${label}`;
  options.onStage?.(stage);
  await quantize(spec, {
    engine: options.engine,
    threads: options.threads,
    force: true,
    allowRequantize: options.allowRequantize ?? false,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onProgress: (done, total) => options.onProgress?.(stage, done, total),
  });
}

/** `pilot`: the plan, unless a former run evaluated it: then its chunks are scored. */
export function sessionOptions(
  options: RunOptions,
  directory: RunDirectory,
  state: Run,
  pilot: string,
): SessionOptions {
  const chunks = options.chunks ?? state.text?.chunks;
  const available = state.refinement?.verdictChunks;
  return {
    engine: options.engine,
    reference: options.model,
    pilot,
    spread: true,
    seed: options.seed,
    threads: options.threads,
    gpuLayers: options.gpuLayers,
    cacheDir: options.cacheDir ?? directory.scratch,
    ...(options.text === undefined ? {} : { text: options.text }),
    ...(options.context === undefined ? {} : { context: options.context }),
    ...(chunks === undefined ? {} : { chunks }),
    ...(available === undefined ? {} : { availableChunks: available }),
    ...(options.cacheLimitBytes === undefined ? {} : { cacheLimitBytes: options.cacheLimitBytes }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.onStage === undefined ? {} : { onNote: options.onStage }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  };
}
