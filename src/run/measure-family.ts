/** The files of a family, each quantized, measured and kept with its plan and recipes; with error feedback too where that is on. */
import { join } from "node:path";
import { writeFileAside } from "../disk/aside-file.ts";
import type { Plan } from "../plan/plan.ts";
import { renderRecipe } from "../plan/recipe.ts";
import { serializePlan } from "../plan/serialize-plan.ts";
import { present } from "../present.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import type { Candidate } from "./candidates.ts";
import { keepMeasured } from "./evaluate-candidates.ts";
import { codedLabel, type Member } from "./family.ts";
import { isIntact } from "./kept-files.ts";
import { codedSlug } from "./kept-slugs.ts";
import type { PointMeasures } from "./measure-points.ts";
import type { OpenRun } from "./open-run.ts";
import type { CodedMember, SweepPoint } from "./run-document.ts";
import { feedbackCandidate } from "./run-feedback.ts";
import { proofOf } from "./run-source.ts";
import { checkSplit } from "./split-models.ts";

/** Measure a member as far as a former run did not, against the preset of this label; its files stand there afterwards. */
export async function measureMember(
  run: OpenRun,
  points: PointMeasures,
  member: Member,
  preset: string | undefined,
): Promise<void> {
  const { directory, source } = run;
  const { plan, coded, slug, label } = member;
  await writeMemberPlan(run, plan, slug);
  const spec = planSpec(plan, directory.model(slug), source.imatrix);
  const known = points.state.sweep?.points.find(({ path }) => path === `models/${slug}.gguf`);
  const file = await measuredFile(run, points, { label, kind: "plan", slug, spec }, plan, known);
  const point: SweepPoint = {
    ...file,
    budget: plan.budget.text,
    ...present({ preset, feedback: known?.feedback }),
  };
  await points.savePoint(point);
  if (coded === undefined) return;
  const own = codedSlug(slug);
  await writeFileAside(directory.planOf(own), serializePlan(coded));
  const candidate = feedbackCandidate(run, coded, own, codedLabel(label));
  const feedback = await measuredFile(run, points, candidate, plan, known?.feedback);
  await points.savePoint({ ...point, feedback: { ...feedback, ...present({ preset }) } });
}

/** What was measured of a file: by a former run, where its evaluation and the file are as they were, else now. */
async function measuredFile(
  run: OpenRun,
  points: PointMeasures,
  candidate: Candidate,
  plan: Plan,
  known: SweepPoint | CodedMember | undefined,
): Promise<CodedMember> {
  const { directory, source, bench, request } = run;
  const { label, slug, spec } = candidate;
  checkSplit(run, spec);
  const names = { plan: `plans/${slug}.json`, path: `models/${slug}.gguf` };
  if (known !== undefined && (await isIntact(points.state, directory, directory.evaluation(slug), bench))) {
    const file = { spec, label, keep: true, allowRequantize: request.allowRequantize, prove: proofOf(source) };
    if (await keepMeasured(run, points.state, file, known)) return { ...known, ...names };
  }
  const { kind: _, ...figures } = await points.measureFile(candidate, plan);
  return { ...figures, ...names };
}

/** The plan last: where it stands, its recipes stand too, named after it as `prism plan` names them. */
async function writeMemberPlan({ directory }: OpenRun, plan: Plan, slug: string): Promise<void> {
  for (const [name, content] of Object.entries(renderRecipe(plan))) {
    await writeFileAside(join(directory.plans, `${slug}.${name}`), content);
  }
  await writeFileAside(directory.planOf(slug), serializePlan(plan));
}
