/** Plans at several budgets, and presets beside them, quantized and evaluated on the chunks of the run. */
import { writeFileAside } from "../disk/aside-file.ts";
import { assembleEvaluation } from "../evaluate/evaluate.ts";
import type { EvaluationSession } from "../evaluate/session.ts";
import type { Plan } from "../plan/plan.ts";
import type { Candidate } from "./candidates.ts";
import { RUN_STAGES } from "./estimate.ts";
import { openRunSession } from "./evaluate-candidates.ts";
import { isIntact, measuredModel, writeKept } from "./kept-files.ts";
import type { OpenRun } from "./open-run.ts";
import type { Run, RunRow, SweepPoint } from "./run-document.ts";
import { addRow, referenceRow, rowOf } from "./run-rows.ts";
import { proofOf } from "./run-source.ts";
import { saveRun } from "./run-state.ts";
import { scoreCandidate } from "./score-candidate.ts";
import { shownLabel } from "./shown-label.ts";
import { isChoice } from "./time-files.ts";

export interface PointMeasures {
  /** The state so far; saved. */
  readonly state: Run;
  /** Measure a plan, unless a former run did. Its plan is kept under plans/, its model is not. */
  measurePlan(candidate: Candidate, plan: Plan): Promise<SweepPoint>;
  /** Measure a preset as a row of the run, unless it is one. `plan` predicts its loss. */
  measurePreset(candidate: Candidate, plan: Plan): Promise<void>;
  /** Measure a file that is kept, whatever was measured before. */
  measureFile(candidate: Candidate, plan: Plan): Promise<RunRow>;
  /** Save a point in the place of the one that has its plan. */
  savePoint(point: SweepPoint): Promise<void>;
  close(): Promise<void>;
}

export function openPointMeasures(run: OpenRun, begun: Run): PointMeasures {
  const { request, directory, bench } = run;
  let state = begun;
  let measured = 0;
  let opened: EvaluationSession | undefined;
  const evaluate = (candidate: Candidate, plan: Plan, keep: boolean) => {
    const { label, slug, spec } = candidate;
    bench.progress.begin?.(RUN_STAGES.sizes, { index: measured++, name: shownLabel(label) });
    const { allowRequantize } = request;
    return scoreCandidate(
      run,
      state,
      { spec, label, keep, allowRequantize, prove: proofOf(run.source) },
      async (model, made) => {
        opened ??= await openRunSession(run, state, model);
        bench.progress.steps(`evaluating ${label}`, 0, 1);
        const evaluation = { ...(await opened.evaluateModel(model, isChoice(candidate.kind))), sha256: made.sha256 };
        const document = assembleEvaluation(opened, [evaluation], bench);
        const path = directory.evaluation(slug);
        const kept = await writeKept(made.state, directory, path, `${JSON.stringify(document, null, 2)}\n`);
        state = measuredModel(kept, directory, spec.output);
        return { row: rowOf({ ...candidate, types: spec.expectedTypes }, { evaluation }, plan), session: opened };
      },
    );
  };
  const savePoint = async (point: SweepPoint) => {
    const points = state.sweep?.points ?? [];
    const isKnown = points.some(({ plan }) => plan === point.plan);
    const measured = isKnown ? points.map((known) => (known.plan === point.plan ? point : known)) : [...points, point];
    state = { ...state, sweep: { ...state.sweep, points: measured, survivors: [] } };
    await saveRun(directory, state);
  };
  return {
    get state() {
      return state;
    },
    savePoint,
    async measurePlan(candidate, plan) {
      const path = `plans/${candidate.slug}.json`;
      const found = state.sweep?.points.find((point) => point.plan === path);
      await writeFileAside(directory.planOf(candidate.slug), `${JSON.stringify(plan, null, 1)}\n`);
      const evaluation = directory.evaluation(candidate.slug);
      if (found !== undefined && (await isIntact(state, directory, evaluation, bench))) return found;
      const { row, session } = await evaluate(candidate, plan, request.keepModels);
      const { kind: _, kldPerChunk: __, ...figures } = row;
      const point: SweepPoint = { ...figures, budget: plan.budget.text, plan: path };
      state = { ...state, text: session.text };
      await savePoint(point);
      return point;
    },
    async measurePreset(candidate, plan) {
      const isRow = state.rows.some(({ label }) => label === candidate.label);
      if (isRow && (await isIntact(state, directory, directory.evaluation(candidate.slug), bench))) return;
      const { row, session } = await evaluate(candidate, plan, request.keepModels);
      state = addRow(state, row, referenceRow(plan, session), { session });
      await saveRun(directory, state);
    },
    async measureFile(candidate, plan) {
      const { row, session } = await evaluate(candidate, plan, true);
      state = { ...state, text: session.text };
      return row;
    },
    async close() {
      await opened?.close();
    },
  };
}
