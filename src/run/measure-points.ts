/** Plans at several budgets, and presets beside them, quantized and evaluated on the chunks of the run. */
import { writeFileAside } from "../disk/aside-file.ts";
import { assembleEvaluation } from "../evaluate/evaluate.ts";
import type { EvaluationSession } from "../evaluate/session.ts";
import type { Plan } from "../plan/plan.ts";
import type { Candidate } from "./candidates.ts";
import { openRunSession } from "./evaluate-candidates.ts";
import { isIntact, measuredModel, writeKept } from "./kept-files.ts";
import type { OpenRun } from "./open-run.ts";
import type { Run, SweepPoint } from "./run-document.ts";
import { addRow, referenceRow, rowOf } from "./run-rows.ts";
import { proofOf } from "./run-source.ts";
import { saveRun } from "./run-state.ts";
import { scoreCandidate } from "./score-candidate.ts";

export interface PointMeasures {
  /** The state so far; saved. */
  readonly state: Run;
  /** Measure a plan, unless a former run did. Its plan is kept under plans/, its model is not. */
  measurePlan(candidate: Candidate, plan: Plan): Promise<SweepPoint>;
  /** Measure a preset as a row of the run, unless it is one. `plan` predicts its loss. */
  measurePreset(candidate: Candidate, plan: Plan): Promise<void>;
  close(): Promise<void>;
}

export function openPointMeasures(run: OpenRun, begun: Run): PointMeasures {
  const { request, directory, bench } = run;
  let state = begun;
  let opened: EvaluationSession | undefined;
  const evaluate = (candidate: Candidate, plan: Plan) => {
    const { label, slug, spec } = candidate;
    const { keepModels, allowRequantize } = request;
    return scoreCandidate(
      run,
      state,
      { spec, label, keep: keepModels, allowRequantize, prove: proofOf(run.source) },
      async (model, made) => {
        opened ??= await openRunSession(run, state, model);
        bench.progress.note(`evaluating ${label}`);
        const evaluation = { ...(await opened.evaluateModel(model)), sha256: made.sha256 };
        const document = assembleEvaluation(opened, [evaluation], bench);
        const path = directory.evaluation(slug);
        const kept = await writeKept(made.state, directory, path, `${JSON.stringify(document, null, 2)}\n`);
        state = measuredModel(kept, directory, spec.output);
        return { row: rowOf(candidate, { evaluation }, plan), session: opened };
      },
    );
  };
  return {
    get state() {
      return state;
    },
    async measurePlan(candidate, plan) {
      const points = state.sweep?.points ?? [];
      const path = `plans/${candidate.slug}.json`;
      const found = points.find((point) => point.plan === path);
      await writeFileAside(directory.planOf(candidate.slug), `${JSON.stringify(plan, null, 1)}\n`);
      const evaluation = directory.evaluation(candidate.slug);
      if (found !== undefined && (await isIntact(state, directory, evaluation, bench))) return found;
      const { row, session } = await evaluate(candidate, plan);
      const { kind: _, kldPerChunk: __, ...figures } = row;
      const point: SweepPoint = { ...figures, budget: plan.budget.text, plan: path };
      const measured =
        found === undefined ? [...points, point] : points.map((known) => (known === found ? point : known));
      state = { ...state, text: session.text, sweep: { ...state.sweep, points: measured, survivors: [] } };
      await saveRun(directory, state);
      return point;
    },
    async measurePreset(candidate, plan) {
      const isRow = state.rows.some(({ label }) => label === candidate.label);
      if (isRow && (await isIntact(state, directory, directory.evaluation(candidate.slug), bench))) return;
      const { row, session } = await evaluate(candidate, plan);
      state = addRow(state, row, referenceRow(plan, session), { session });
      await saveRun(directory, state);
    },
    async close() {
      await opened?.close();
    },
  };
}
