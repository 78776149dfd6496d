/** Where a run probes its model, and what probing it there is known to take. */
import type { Analysis } from "../analyze/analysis.ts";
import { poolingOf } from "../embed/embedder.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { driftMeter } from "../probes/drift-meter.ts";
import { kldMeter, type Meter } from "../probes/meter.ts";
import { probeableTensors } from "../probes/probe-model.ts";
import { type OpenSite, openProbeSite, type ProbeSiteRequest } from "../probes/probe-site.ts";
import { readProbeText, shippedProbeText } from "../probes/probe-text.ts";
import { timeChunks } from "../probes/time-chunks.ts";
import type { OpenRun } from "./open-run.ts";
import type { ProbeBudgetInput } from "./probe-budget.ts";
import type { ProbeBudget } from "./run-document.ts";

/** Tokens of a chunk. */
function probeContext({ request, source }: OpenRun): number {
  const { contextTrain } = source.model.facts;
  if (!source.measures.embeddings) return chooseContext(request.context, contextTrain);
  return Math.min(request.context ?? EMBEDDING_CONTEXT, contextTrain || EMBEDDING_CONTEXT);
}

/** Chunks of what embeds are short: their text is what comes with PRISM, and more of them tell more. */
const EMBEDDING_CONTEXT = 256;

/** By what the run is judged. */
function runMeter({ request, source, bench }: OpenRun): Meter {
  const { measures, model } = source;
  return measures.embeddings ? driftMeter(poolingOf(model, request.embedding?.pooling)) : kldMeter(model, bench);
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
    sampled: request.text === undefined && source.measures.text,
    chunkMs: await timeChunks(source.model, { context, meter: runMeter(run) }, bench),
  };
}

/** Open it, with the texts that the budget allows. */
export function openRunSite(run: OpenRun, analysis: Analysis, budget: ProbeBudget): Promise<OpenSite> {
  const { request, source, directory, bench } = run;
  const { model, imatrix, measures } = source;
  const { text, allowRequantize } = request;
  const { textChunks, trialChunks } = budget;
  const context = probeContext(run);
  const asked = { context, text, textChunks, trialChunks };
  const textOf: ProbeSiteRequest["textOf"] = (loaded) =>
    measures.embeddings ? shippedProbeText(loaded, asked) : readProbeText(loaded, model, asked, bench);
  const { scratch } = directory;
  const meter = runMeter(run);
  return openProbeSite(model, { analysis, imatrix, context, scratch, textOf, allowRequantize, meter }, bench);
}
