/**
 * The loop: analyze → plan → quantize → evaluate, for the plan and for its controls, into one directory. Finished steps
 * are never repeated: each is on disk, and in state.json, before the next begins.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Analysis } from "../analyze/analysis.ts";
import { analyzeCached } from "../analyze/analysis-cache.ts";
import { readAnalysis } from "../analyze/analysis-document.ts";
import { fileExists, writeFileAside } from "../disk/aside-file.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { InterruptedError } from "../errors.ts";
import { readFacts } from "../gguf/facts.ts";
import { openLocalModel } from "../gguf/open.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { renderRecipe } from "../plan/recipe.ts";
import { serializePlan } from "../plan/serialize-plan.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import { parseDensities, sensitivityFromDensities } from "../sensitivity/density-document.ts";
import { type Candidate, chooseControls } from "./candidates.ts";
import { evaluateCandidates } from "./evaluate-candidates.ts";
import { prepareText } from "./prepare-text.ts";
import { matchingRecipes } from "./published-recipes.ts";
import { refinePlan } from "./refine.ts";
import type { Refinement, Run } from "./run-document.ts";
import type { RunOptions } from "./run-options.ts";
import { collectOutputs } from "./run-outputs.ts";
import { judgeRun } from "./run-rows.ts";
import { openSource, type RunSource } from "./run-source.ts";
import { openRun, type RunDirectory, runDirectory, saveRun } from "./run-state.ts";
import { refreshSweep, settleBudget } from "./sweep.ts";

export type { RunOptions } from "./run-options.ts";

/** Run the loop. What comes back is what state.json holds; missed gates are in `gates`, not thrown. */
export async function run(options: RunOptions): Promise<Run> {
  const directory = runDirectory(options.out);
  const source = await openSource(options);
  const begun = await openRun(directory, source.asked, options.force ?? false);
  try {
    if (begun.rows.length === 0) await prepareText(options, source);
    return await runSteps(options, directory, source, begun);
  } finally {
    await rm(directory.scratch, { recursive: true, force: true });
  }
}

async function runSteps(options: RunOptions, directory: RunDirectory, source: RunSource, begun: Run): Promise<Run> {
  const { imatrix } = source;
  const analysis = await analysisOf(options, directory, source);
  if (options.signal?.aborted) throw new InterruptedError();
  const unrefined: PlanOptions = {
    analysis,
    sensitivity: options.sensitivity.of(analysis),
    budget: options.budget,
    mode: options.mode ?? "tensor",
    constraints: options.constraints ?? [],
    guards: options.guards ?? {},
    createdAt: begun.createdAt,
  };
  const { planOptions, refinement } = await refineOptions(options, directory, source, begun, unrefined);
  const refined = { ...begun, ...(refinement === undefined ? {} : { refinement }) };
  await saveRun(directory, refined);
  const settled = await settleBudget(options, directory, refined, planOptions, imatrix);
  const plan = makePlan({ ...planOptions, budget: settled.budget });
  if (begun.finishedAt === undefined) options.onStage?.(describePlan(plan));
  await writePlan(directory, plan);
  const planned: Candidate = {
    label: "plan",
    kind: "plan",
    slug: "plan",
    spec: planSpec(plan, options.model, directory.model("plan"), imatrix),
  };
  const controls = chooseControls({
    plan,
    planOptions: { ...planOptions, budget: settled.budget },
    baselines: options.baselines,
    recipes: await matchingRecipes(analysis),
    pathOf: directory.model,
    ...(imatrix === undefined ? {} : { imatrix }),
  });
  const warnings = [...new Set([...source.warnings, ...plan.warnings, ...settled.state.warnings])];
  const state = await evaluateCandidates(
    options,
    directory,
    { ...settled.state, warnings },
    [planned, ...controls],
    plan,
    source.measures,
  );
  const finishedAt = begun.finishedAt ?? new Date().toISOString();
  const outputs = await collectOutputs({ path: options.model, arch: plan.facts.arch }, directory);
  const finished = refreshSweep(judgeRun({ ...state, finishedAt, outputs }, options.gates, true));
  await saveRun(directory, finished);
  return finished;
}

/** What the plan is made from: with the sensitivity that probes gave, where they are asked for and it is better. */
async function refineOptions(
  options: RunOptions,
  directory: RunDirectory,
  source: RunSource,
  begun: Run,
  unrefined: PlanOptions,
): Promise<{ planOptions: PlanOptions; refinement?: Refinement }> {
  // what was measured without probes is gone on with without them, though there were time for them now
  const unrefinedBefore = begun.refinement === undefined && (begun.rows.length > 0 || begun.sweep !== undefined);
  if (options.refine === undefined || !source.measures.text || unrefinedBefore) return { planOptions: unrefined };
  const { refinement } = begun;
  if (refinement !== undefined) {
    if (!refinement.accepted) return { planOptions: unrefined, refinement };
    const densities = parseDensities(directory.probes, await readDocumentText(directory.probes));
    const sensitivity = { ...sensitivityFromDensities(unrefined.analysis, densities), mode: "probes" };
    return { planOptions: { ...unrefined, sensitivity }, refinement };
  }
  const refined = await refinePlan(options, directory, source, unrefined);
  if (refined === undefined) return { planOptions: unrefined };
  options.onStage?.(refined.refinement.outcome);
  const { accepted } = refined.refinement;
  return {
    planOptions: accepted ? { ...unrefined, sensitivity: refined.sensitivity } : unrefined,
    refinement: refined.refinement,
  };
}

/** The analysis of the directory, or a new one; it says where the model lies now. */
async function analysisOf(options: RunOptions, directory: RunDirectory, source: RunSource): Promise<Analysis> {
  const { analysis: path } = directory;
  if (!(await fileExists(path))) return analyzeSource(options, path, source);
  const analysis = readAnalysis(await readDocumentText(path), path);
  return { ...analysis, model: { ...analysis.model, ...source.lies } };
}

async function analyzeSource(options: RunOptions, path: string, { imatrix }: RunSource): Promise<Analysis> {
  const stage = "analyzing";
  options.onStage?.(stage);
  const file = await openLocalModel(options.model);
  try {
    const analysis = await analyzeCached(file, readFacts(file.model), {
      engine: options.engine,
      backend: options.backend,
      seed: options.seed,
      threads: options.threads,
      exactMetrics: options.exactMetrics ?? false,
      exactDistortion: options.exactDistortion ?? false,
      onNote: (text) => options.onStage?.(text),
      ...(options.memoryBytes === undefined ? {} : { memoryBytes: options.memoryBytes }),
      ...(options.cacheDir === undefined ? {} : { cacheDir: options.cacheDir }),
      ...(imatrix === undefined ? {} : { imatrix }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      onProgress: (done, total) => options.onProgress?.(stage, done, total),
    });
    await writeFileAside(path, `${JSON.stringify(analysis)}\n`);
    return analysis;
  } finally {
    await file.close();
  }
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
