/** The rows of a run: each candidate is quantized, evaluated in one session, and kept or deleted. */
import { rm } from "node:fs/promises";
import { writeFileAside } from "../aside-file.ts";
import { assembleEvaluation } from "../evaluate/evaluate.ts";
import { type EvaluationSession, openSession, type SessionOptions } from "../evaluate/session.ts";
import type { Plan } from "../plan/plan.ts";
import { isQuantized, quantize } from "../quantize/quantize.ts";
import type { Candidate } from "./candidates.ts";
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
): Promise<Run> {
  let state = begun;
  let session: EvaluationSession | undefined;
  try {
    for (const candidate of candidates) {
      const { label, slug, spec } = candidate;
      const kept = candidate.kind === "plan" || (options.keepModels ?? false);
      const evaluated = state.rows.some((row) => row.label === label);
      if (kept || !evaluated) await quantizeCandidate(options, candidate);
      if (!evaluated) {
        session ??= await openSession(sessionOptions(options, directory, state, spec.output));
        options.onStage?.(`evaluating ${label}`);
        const evaluation = await session.evaluateModel(spec.output);
        const document = assembleEvaluation(options, session, [evaluation]);
        await writeFileAside(directory.evaluation(slug), `${JSON.stringify(document, null, 2)}\n`);
        state = addRow(state, rowOf(candidate, evaluation, plan), referenceRow(plan, session), session);
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
