/** Plans at several budgets, and presets beside them, quantized and evaluated on the chunks of the run. */
import { rm } from "node:fs/promises";
import { writeFileAside } from "../disk/aside-file.ts";
import { assembleEvaluation } from "../evaluate/evaluate.ts";
import { type EvaluationSession, openSession } from "../evaluate/session.ts";
import type { Plan } from "../plan/plan.ts";
import type { Candidate } from "./candidates.ts";
import { quantizeCandidate, sessionOptions } from "./evaluate-candidates.ts";
import type { Run, SweepPoint } from "./run-document.ts";
import type { RunOptions } from "./run-options.ts";
import { addRow, referenceRow, rowOf } from "./run-rows.ts";
import { type RunDirectory, saveRun } from "./run-state.ts";

export interface PointBench {
  /** The state so far; saved. */
  readonly state: Run;
  /** Measure a plan, unless a former run did. Its plan is kept under plans/, its model is not. */
  measurePlan(candidate: Candidate, plan: Plan): Promise<SweepPoint>;
  /** Measure a preset as a row of the run, unless it is one. `plan` predicts its loss. */
  measurePreset(candidate: Candidate, plan: Plan): Promise<void>;
  close(): Promise<void>;
}

export function openPointBench(options: RunOptions, directory: RunDirectory, begun: Run): PointBench {
  let state = begun;
  let session: EvaluationSession | undefined;
  const evaluate = async (candidate: Candidate, plan: Plan) => {
    const { label, slug, spec } = candidate;
    await quantizeCandidate(options, candidate);
    session ??= await openSession(sessionOptions(options, directory, state, spec.output));
    options.onStage?.(`evaluating ${label}`);
    const evaluation = await session.evaluateModel(spec.output);
    const document = assembleEvaluation(options, session, [evaluation]);
    await writeFileAside(directory.evaluation(slug), `${JSON.stringify(document, null, 2)}\n`);
    const row = rowOf(candidate, { evaluation }, plan);
    if (!options.keepModels) await rm(spec.output, { force: true });
    return { row, session };
  };
  return {
    get state() {
      return state;
    },
    async measurePlan(candidate, plan) {
      const points = state.sweep?.points ?? [];
      const path = `plans/${candidate.slug}.json`;
      const found = points.find((point) => point.plan === path);
      if (found !== undefined) return found;
      await writeFileAside(directory.planOf(candidate.slug), `${JSON.stringify(plan, null, 1)}\n`);
      const { row, session } = await evaluate(candidate, plan);
      const { kind: _, kldPerChunk: __, ...measured } = row;
      const point: SweepPoint = { ...measured, budget: plan.budget.text, plan: path };
      state = { ...state, text: session.text, sweep: { ...state.sweep, points: [...points, point], survivors: [] } };
      await saveRun(directory, state);
      return point;
    },
    async measurePreset(candidate, plan) {
      if (state.rows.some(({ label }) => label === candidate.label)) return;
      const { row, session } = await evaluate(candidate, plan);
      state = addRow(state, row, referenceRow(plan, session), { session });
      await saveRun(directory, state);
    },
    async close() {
      await session?.close();
    },
  };
}
