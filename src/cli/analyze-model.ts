/** Path of a model → Analysis: opens what analyze/ needs, shows progress, and closes everything again. */

import type { Analysis } from "../analyze/analysis.ts";
import { analyzeCached, type CachedAnalyzeOptions } from "../analyze/analysis-cache.ts";
import { defaultCacheDir } from "../disk/cache-dir.ts";
import { openEngine } from "../engine/open-engine.ts";
import { FormatError } from "../errors.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { readFacts } from "../gguf/facts.ts";
import type { Model, ModelFile } from "../gguf/model.ts";
import { checkImatrix } from "../imatrix/check.ts";
import { type Imatrix, readImatrix } from "../imatrix/imatrix.ts";
import { compileMissingKernels } from "../kernels/compile-kernels.ts";
import { printable } from "../plan/printable.ts";
import type { FindingCode } from "../preflight/finding-codes.ts";
import { preflight } from "../preflight/preflight.ts";
import { followDescription, openBackend, orClose } from "./backends.ts";
import type { CommandContext } from "./context.ts";
import { reportFindings } from "./model-findings.ts";
import { type NamedModel, noteTraffic, openNamedModel } from "./open-named-model.ts";
import type { Output } from "./output.ts";

export interface AnalyzeModelOptions {
  readonly threads: number;
  readonly backend: string;
  readonly seed: number;
  /** Whether the analysis, and what is fetched of a remote model, may be kept on disk. */
  readonly cache: boolean;
  /** Refuse a model with errors or warnings. */
  readonly strict?: boolean;
  /** Path of an importance matrix. */
  readonly imatrix?: string;
  readonly targetRelativeSe?: number;
  readonly exactMetrics?: boolean;
  readonly exactDistortion?: boolean;
  readonly memoryBytes?: number;
}

/** Analyze the model `path` names. Everything that can be refused is refused before the work starts. */
export async function analyzeModel(
  path: string,
  options: AnalyzeModelOptions,
  context: CommandContext,
  output: Output,
): Promise<Analysis> {
  const named = await openNamedModel(path, options.cache, context, output);
  const { file } = named;
  try {
    const imatrix = options.imatrix === undefined ? undefined : await readImatrix(options.imatrix);
    await checkModel(file, options, context, output);
    if (imatrix) noteForeignEntries(imatrix, file.model, output);
    const analysis = await measure(named, imatrix, options, context.signal, output);
    noteTraffic(named, output);
    return analysis;
  } finally {
    await file.close();
  }
}

/** Findings that leave nothing to plan. */
const UNPLANNABLE: ReadonlySet<FindingCode> = new Set(["no-architecture", "projector"]);

async function checkModel(
  file: ModelFile,
  { strict = false }: AnalyzeModelOptions,
  { signal }: CommandContext,
  output: Output,
): Promise<void> {
  const { model } = file;
  const fatal = (message: string) => new FormatError(model.path, message);
  const unplannable = preflight(model, readFacts(model)).find(({ code }) => UNPLANNABLE.has(code));
  if (unplannable !== undefined) throw fatal(`${unplannable.message}; ${unplannable.remedy}`);
  await reportFindings(file, { strict, signal }, output);
  if (model.tensors.every((tensor) => ineligibleReason(tensor) !== undefined)) {
    throw fatal("has no tensor that llama-quantize would quantize; see prism inspect");
  }
}

/** Two models of one size share names and shapes: entries that this one has no tensor for give the mix-up away. */
function noteForeignEntries(imatrix: Imatrix, model: Model, output: Output): void {
  checkImatrix(imatrix, model);
  const names = new Set(model.tensors.map(({ name }) => name));
  const foreign = [...imatrix.importance.keys()].filter((name) => !names.has(name));
  if (foreign.length === 0) return;
  const [example = ""] = foreign;
  output.note(
    printable(
      `! ${foreign.length} of the ${imatrix.entries} entries of ${imatrix.path} (${example}, ...) are for tensors this model does not have: is it of another model?`,
    ),
  );
}

async function measure(
  { file, traffic }: NamedModel,
  imatrix: Imatrix | undefined,
  options: AnalyzeModelOptions,
  signal: AbortSignal,
  output: Output,
): Promise<Analysis> {
  const { threads, seed, backend: backendName, imatrix: _, cache, strict: __, ...rest } = options;
  await compileMissingKernels({ note: output.note, signal });
  const backend = await openBackend(backendName, threads);
  const noteChange = followDescription(backend);
  const engine = await orClose(backend, openEngine({ threads }));
  const total = file.model.tensors.filter((tensor) => ineligibleReason(tensor) === undefined).length;
  const progress = output.progress("analyze", total, `tensors of ${printable(file.model.path)}`);
  const analyzeOptions: CachedAnalyzeOptions = {
    ...rest,
    engine,
    backend,
    seed,
    threads,
    signal,
    onProgress: (done, _total, name) => progress.update(done, [traffic() ?? [], name].flat().join(", ")),
    onNote: (text) => output.note(printable(text)),
    ...(cache && { cacheDir: defaultCacheDir() }),
    ...(imatrix && { imatrix }),
  };
  try {
    return await analyzeCached(file, readFacts(file.model), analyzeOptions);
  } finally {
    progress.end();
    noteChange(output);
    await Promise.all([engine.close(), backend.close()]);
  }
}
