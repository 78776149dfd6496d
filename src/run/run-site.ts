/** Where a run probes its model, and what probing it there is known to take. */
import type { Analysis } from "../analyze/analysis.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { probeableTensors } from "../probes/probe-model.ts";
import { type OpenSite, openProbeSite, type ProbeSiteRequest } from "../probes/probe-site.ts";
import { readProbeText } from "../probes/probe-text.ts";
import { timeChunks } from "../probes/time-chunks.ts";
import type { OpenRun } from "./open-run.ts";
import type { ProbeBudgetInput } from "./probe-budget.ts";
import type { ProbeBudget } from "./run-document.ts";

/** Tokens of a chunk. */
export function probeContext({ request, source }: OpenRun): number {
  return chooseContext(request.context, source.model.facts.contextTrain);
}

/** What decides how much is decoded; it times a chunk. */
export async function probeBudgetInput(run: OpenRun, analysis: Analysis): Promise<ProbeBudgetInput> {
  const { request, source, bench } = run;
  const context = probeContext(run);
  return {
    tensors: probeableTensors(analysis),
    elements: analysis.model.elements,
    context,
    threads: bench.threads,
    onGpu: bench.gpuLayers > analysis.facts.layers,
    sampled: request.text === undefined,
    chunkMs: await timeChunks(source.model, context, bench),
  };
}

/** Open it, with the texts that the budget allows. */
export function openRunSite(run: OpenRun, analysis: Analysis, budget: ProbeBudget): Promise<OpenSite> {
  const { request, source, directory, bench } = run;
  const { model, imatrix } = source;
  const { text, allowRequantize } = request;
  const { textChunks, trialChunks } = budget;
  const context = probeContext(run);
  const textOf: ProbeSiteRequest["textOf"] = (loaded) =>
    readProbeText(loaded, model, { context, text, textChunks, trialChunks }, bench);
  const { scratch } = directory;
  return openProbeSite(model, { analysis, imatrix, context, scratch, textOf, allowRequantize }, bench);
}
