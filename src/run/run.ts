/**
 * The loop: analyze → plan → quantize → evaluate, for the plan and for its controls, into one directory. Finished steps
 * are never repeated: each is on disk, and in state.json, before the next begins.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Analysis } from "../analyze/analysis.ts";
import { analyzeCached } from "../analyze/analysis-cache.ts";
import type { Bench } from "../bench.ts";
import { makeFolder, writeFileAside } from "../disk/aside-file.ts";
import { type FolderLock, lockFolder } from "../disk/folder-lock.ts";
import { FormatError, StoppedError } from "../errors.ts";
import { measureFeedback, withoutFeedback } from "../feedback/feedback-gains.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { renderRecipe } from "../plan/recipe.ts";
import { serializePlan } from "../plan/serialize-plan.ts";
import { withDefaults } from "../present.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import { sensitivityFromDensities } from "../sensitivity/density-document.ts";
import { adoptMembers } from "./adopt-member.ts";
import { requireSameInputs } from "./asked.ts";
import { type Candidate, chooseControls } from "./candidates.ts";
import { RUN_STAGES } from "./estimate.ts";
import { evaluateCandidates } from "./evaluate-candidates.ts";
import { expectedOf, tellStages } from "./expect.ts";
import { checkFamilySpace } from "./family-space.ts";
import { judgeFamily } from "./family-verdict.ts";
import { presetsOf, requireRows } from "./gates.ts";
import { isAsKept, writeKept } from "./kept-files.ts";
import { KEPT_SLUGS } from "./kept-slugs.ts";
import type { OpenRun } from "./open-run.ts";
import { prepareText } from "./prepare-text.ts";
import { matchingRecipes } from "./published-recipes.ts";
import { RUN_ANALYSIS, RUN_PROBES, readRunFile } from "./read-run-file.ts";
import { refinePlan } from "./refine.ts";
import { closeRivals } from "./rivals.ts";
import type { Run } from "./run-document.ts";
import { feedbackCandidate } from "./run-feedback.ts";
import { withImatrix } from "./run-imatrix.ts";
import { collectOutputs, measuredFiles } from "./run-outputs.ts";
import { type CompleteRunRequest, RUN_DEFAULTS, type RunRequest } from "./run-request.ts";
import { judgeRun } from "./run-rows.ts";
import { openSource } from "./run-source.ts";
import { openRunState, type RunDirectory, runDirectory, saveRun } from "./run-state.ts";
import { checkSplit, splitModels } from "./split-models.ts";
import { type Course, goOnFrom, noteStages, stopRun } from "./stop-run.ts";
import { swapPlan } from "./swap-plan.ts";
import { firstBudget, refreshSweep, settleBudget } from "./sweep.ts";

const PATIENCE_MS = 10_000;

/** Run the loop. What comes back is what state.json holds; missed gates are in `gates`, not thrown. */
export async function run(model: string, request: RunRequest, bench: Bench): Promise<Run> {
  const asked: CompleteRunRequest = withDefaults(RUN_DEFAULTS, request);
  const directory = runDirectory(asked.out);
  const { deadline } = asked;
  const course: Course = { stage: RUN_STAGES.analysis, labels: [] };
  const progress = noteStages(course, bench);
  const limits = [bench.signal, ...(deadline === undefined ? [] : [deadline.signal])];
  // before anything is known of stages large models are hashed: nobody should wait for long without a word
  const slow = setTimeout(() => bench.progress.steps("looking at the model", 0, 1), PATIENCE_MS);
  const source = await openSource(model, asked, { ...bench, signal: AbortSignal.any(limits) }).finally(() =>
    clearTimeout(slow),
  );
  let lock: FolderLock | undefined;
  let isBegun = false;
  try {
    await makeFolder(directory.path);
    lock = await lockFolder(directory.lock);
    const begun = goOnFrom(await openRunState(directory, source.asked, asked.force));
    isBegun = true;
    const signal = AbortSignal.any([...limits, lock.lost]);
    const { gpuLayers } = source.asked;
    const fitted: Bench = { ...bench, gpuLayers, autoLayers: false, signal, progress };
    const place = { request: asked, source, directory, bench: fitted };
    const chunkMs = begun.rows.length === 0 ? await prepareText(place) : undefined;
    const open: OpenRun = { ...place, course, expected: expectedOf(place, chunkMs) };
    await checkFamilySpace(open);
    tellStages(open, begun, chunkMs !== undefined);
    const weighted = await withImatrix(open, begun);
    return await runSteps(weighted.run, weighted.state);
  } catch (error) {
    const isAborted = deadline?.signal.aborted && !bench.signal.aborted && !lock?.lost.aborted;
    if (!isBegun || !(error instanceof StoppedError || isAborted)) throw error;
    return await stopRun({ request: asked, source, directory }, course);
  } finally {
    await source.model.close();
    await closeRivals(source.rivals);
    if (lock !== undefined) {
      // without the lock it is another run's
      await rm(directory.scratch, { recursive: true, force: true });
      await lock.release();
    }
  }
}

async function runSteps(weighted: OpenRun, begun: Run): Promise<Run> {
  const { analysis, analyzed } = await analysisOf(weighted, begun);
  const open = named(weighted, analysis);
  const { request, source, directory, bench } = open;
  const { imatrix, model } = source;
  bench.signal.throwIfAborted();
  const { budget, mode, constraints, guards, types } = request;
  const unrefined: PlanOptions = {
    analysis: withoutFeedback(analysis),
    sensitivity: request.sensitivity.of(analysis),
    budget,
    mode,
    constraints,
    guards,
    types,
    createdAt: begun.createdAt,
  };
  const begin: PlanOptions = { ...unrefined, budget: firstBudget(open, unrefined) };
  const { planOptions, refined } = await refineOptions(open, analyzed, begin);
  await saveRun(directory, refined);
  const settled = await settleBudget(open, refined, planOptions, analysis);
  bench.progress.begin?.(RUN_STAGES.plan);
  const { state: swapped, plan } = await swapPlan(open, settled.state, { ...planOptions, budget: settled.budget });
  if (begun.finishedAt === undefined) bench.progress.note(describePlan(plan));
  await writePlan(directory, plan);
  // what feedback mends is no matter for the codes of llama-quantize: each has a plan of its own
  const codedPlan = source.feedback ? makePlan({ ...planOptions, analysis, budget: settled.budget }) : undefined;
  if (codedPlan !== undefined) {
    await writeFileAside(directory.planOf(KEPT_SLUGS.feedback), serializePlan(codedPlan));
  }
  const planned: Candidate = {
    label: "plan",
    kind: "plan",
    slug: "plan",
    spec: planSpec(plan, directory.model("plan"), imatrix),
  };
  const controls = chooseControls({
    plan,
    planOptions: { ...planOptions, budget: settled.budget },
    baselines: request.baselines,
    required: presetsOf(request.gates),
    recipes: await matchingRecipes(analysis),
    templates: request.templates,
    pathOf: directory.model,
    imatrix,
  });
  requireRows(
    request.gates,
    [...controls, ...source.rivals].map(({ label }) => label),
  );
  const coded = codedPlan && { plan: codedPlan, candidate: feedbackCandidate(open, codedPlan) };
  const candidates = [planned, ...(coded === undefined ? [] : [coded.candidate]), ...controls];
  for (const { spec } of [planned, ...(coded === undefined ? [] : [coded.candidate])]) checkSplit(open, spec);
  open.course.labels = candidates.map(({ label }) => label);
  const adopted = await adoptMembers(open, swapped, settled.members, { plan, candidate: planned }, coded);
  const warnings = [
    ...new Set([...source.warnings, ...plan.warnings, ...(codedPlan?.warnings ?? []), ...adopted.warnings]),
  ];
  const state = await evaluateCandidates(open, { ...adopted, warnings }, candidates, plan);
  for (const read of [model, ...source.rivals.map((rival) => rival.model)]) await requireUnchanged(read, bench);
  await requireSameInputs(request, source.asked);
  // a search that was cut short is to go on
  if (state.stopped !== undefined) return stopRun(open, open.course);
  const finishedAt = begun.finishedAt ?? new Date().toISOString();
  const measured = measuredFiles(state, candidates);
  const { path } = model;
  // what is split is what was measured
  await collectOutputs({ path, arch: plan.facts.arch }, directory, measured);
  const placed = await splitModels(open, state);
  const outputs = await collectOutputs({ path, arch: plan.facts.arch }, directory, measured);
  const finished = refreshSweep(judgeFamily(judgeRun({ ...placed, finishedAt, outputs }, request.gates, true)));
  await saveRun(directory, finished);
  return finished;
}

/** The strings of an imatrix go into the files: they are the analysis's, wherever the imatrix lies now. */
function named(run: OpenRun, analysis: Analysis): OpenRun {
  const { imatrix } = run.source;
  if (imatrix === undefined || analysis.imatrix === undefined) return run;
  const { file, dataset } = analysis.imatrix;
  return { ...run, source: { ...run.source, imatrix: { ...imatrix, file, dataset } } };
}

/** What the plan is made from: with the sensitivity that probes gave, where they are asked for and it is better. */
async function refineOptions(
  open: OpenRun,
  begun: Run,
  unrefined: PlanOptions,
): Promise<{ planOptions: PlanOptions; refined: Run }> {
  const { request, source, directory, bench } = open;
  // what was measured without probes is gone on with without them, though there were time for them now
  const unrefinedBefore = begun.refinement === undefined && (begun.rows.length > 0 || begun.sweep !== undefined);
  const { text, embeddings } = source.measures;
  if (request.refine === "none" || !(text || embeddings) || unrefinedBefore)
    return { planOptions: unrefined, refined: begun };
  const { refinement } = begun;
  if (refinement !== undefined) {
    if (!refinement.accepted) return { planOptions: unrefined, refined: begun };
    if ((await isAsKept(begun, directory, directory.probes)) === false) {
      throw new FormatError(directory.probes, `was changed after it was written; put it back, or ${RUN_PROBES.remedy}`);
    }
    const densities = await readRunFile(directory.probes, RUN_PROBES, source.model.model);
    const sensitivity = { ...sensitivityFromDensities(unrefined.analysis, densities), mode: "probes" };
    return { planOptions: { ...unrefined, sensitivity }, refined: begun };
  }
  const probed = await refinePlan(open, begun, unrefined);
  if (probed === undefined) return { planOptions: unrefined, refined: begun };
  const { state, sensitivity } = probed;
  bench.progress.note(probed.refinement.outcome);
  const { accepted } = probed.refinement;
  return {
    planOptions: accepted ? { ...unrefined, sensitivity } : unrefined,
    refined: { ...state, refinement: probed.refinement },
  };
}

/** The analysis of the directory, or a new one, and the state that knows it; it says where the model lies now. */
async function analysisOf(
  { request, source, directory, bench }: OpenRun,
  begun: Run,
): Promise<{ analysis: Analysis; analyzed: Run }> {
  const { model, imatrix } = source;
  const { analysis: path } = directory;
  const isAsWritten = await isAsKept(begun, directory, path);
  if (isAsWritten === false) bench.progress.note(`! ${path} was changed after it was written: made again`);
  if (isAsWritten === true) {
    const analysis = await readRunFile(path, RUN_ANALYSIS, model.model);
    const shards = model.model.shards.map((shard) => shard.path);
    return { analysis: { ...analysis, model: { ...analysis.model, path: model.path, shards } }, analyzed: begun };
  }
  bench.progress.begin?.(RUN_STAGES.analysis);
  const { exactMetrics, exactDistortion, types } = request;
  const rounded = await analyzeCached(model, { imatrix, exactMetrics, exactDistortion, types }, bench);
  const { context, calibration } = request;
  const sampled = source.feedback
    ? await measureFeedback(model, rounded, { imatrix, context, calibration }, bench)
    : rounded;
  // plans of it say which weights they are for
  const analysis = { ...sampled, model: { ...sampled.model, identity: source.asked.fingerprint } };
  const analyzed = await writeKept(begun, directory, path, `${JSON.stringify(analysis)}\n`);
  await saveRun(directory, analyzed);
  return { analysis, analyzed };
}

/** What was chosen, for whom the command left it open. */
function describePlan({ budget, predicted, sensitivity }: Plan): string {
  const bytes = predicted.fileBytes.toLocaleString("en-US");
  return `planned for ${budget.text}: ${bytes} bytes, ${predicted.bpw.toFixed(3)} bits per weight, sensitivity ${sensitivity.mode}`;
}

/** Write the plan last: where it stands, its recipe stands too. */
async function writePlan(directory: RunDirectory, plan: Plan): Promise<void> {
  for (const [name, content] of Object.entries(renderRecipe(plan))) {
    await writeFileAside(join(directory.plans, name), content);
  }
  await writeFileAside(directory.plan, serializePlan(plan));
}
