/** Priors: what is in one, and one that grew by models that runs have probed. */
import { dirname, extname, join } from "node:path";
import { ANALYSIS, type Analysis } from "../analyze/analysis.ts";
import { readAnalysis } from "../analyze/analysis-document.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { FormatError, UsageError } from "../errors.ts";
import { probedKinds } from "../probes/probed-kinds.ts";
import { type RunFile, readRunFile } from "../run/read-run-file.ts";
import { runDirectory } from "../run/run-state.ts";
import { DENSITIES, parseDensities } from "../sensitivity/density-document.ts";
import { growPrior } from "../sensitivity/grow-prior.ts";
import type { MeasuredModel } from "../sensitivity/measured-model.ts";
import { builtInPrior, PRIOR, type Prior, parsePrior } from "../sensitivity/sensitivity-prior.ts";

export interface PriorRequest {
  /** Path of the prior to add to; by default the one that comes with PRISM. */
  readonly prior?: string | undefined;
}

/** Kinds of tensors that a model is worth adding for. */
const LEAST_KINDS = 3;

const PROBED_ANALYSIS: RunFile<Analysis> = {
  kind: ANALYSIS,
  read: readAnalysis,
  headerOf: ({ model }) => model.headerHash,
  remedy: "give the directory of a run, or its probes.json with its analysis.json beside it",
};

/** Read a prior; the one that comes with PRISM where no path is given. Throws FileError, FormatError. */
export async function loadPrior(path: string | undefined): Promise<Prior> {
  return path === undefined ? builtInPrior() : parsePrior(path, await readDocumentText(path, PRIOR));
}

/** The files of runs that are read, given their directories or their probes.json. */
export function probedFiles(runs: readonly string[]): { probes: string; analysis: string }[] {
  return runs.map((named) => {
    const { path, probes } = runDirectory(extname(named) === ".json" ? dirname(named) : named);
    return { probes: extname(named) === ".json" ? named : probes, analysis: join(path, "analysis.json") };
  });
}

/** A prior with the models that these runs have probed, fitted anew. Throws UsageError, FileError, FormatError. */
export async function addToPrior(runs: readonly string[], { prior: base }: PriorRequest): Promise<Prior> {
  if (runs.length === 0) throw new UsageError("name the runs to add: prism prior add RUN...");
  const prior = await loadPrior(base);
  const models: MeasuredModel[] = [];
  for (const files of probedFiles(runs)) models.push(await readProbed(files));
  return growPrior(prior, models);
}

async function readProbed(files: ReturnType<typeof probedFiles>[number]): Promise<MeasuredModel> {
  const document = parseDensities(files.probes, await readDocumentText(files.probes, DENSITIES));
  const { model, probes } = document;
  if (model === undefined || probes === undefined) {
    throw new FormatError(
      files.probes,
      "says densities but no model or no probes, expected the probes.json of a run; only what was measured goes into a prior",
    );
  }
  if (document.lossUnit === "drift") {
    throw new FormatError(
      files.probes,
      "says what damage does to embeddings, and a prior what it does to next tokens; give it as --sensitivity to models of its kind",
    );
  }
  const { name, arch, headerHash } = model;
  const analysis = await readRunFile(files.analysis, PROBED_ANALYSIS, { path: files.probes, headerHash });
  const kinds = probedKinds(analysis, probes);
  if (kinds.length < LEAST_KINDS) {
    throw new FormatError(
      files.probes,
      `its probes measured ${kinds.length} whole classes above their noise, expected at least ${LEAST_KINDS}; probe more with prism run --refine`,
    );
  }
  return { name, arch, elements: analysis.model.elements, headerHash, kinds };
}
