/**
 * The loop: analyze → plan → quantize → evaluate, for the plan and for its controls, into one directory. Finished steps
 * are never repeated: each is on disk, and in state.json, before the next begins.
 */
import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Analysis } from "../analyze/analysis.ts";
import { readAnalysis } from "../analyze/analysis-document.ts";
import { analyze } from "../analyze/analyze.ts";
import type { Sensitivity } from "../analyze/sensitivity.ts";
import { fileExists, writeFileAside } from "../aside-file.ts";
import type { Engine } from "../engine/engine.ts";
import { FileError } from "../errors.ts";
import { assembleEvaluation } from "../evaluate/evaluate.ts";
import type { ModelEvaluation } from "../evaluate/evaluation.ts";
import { type EvaluationSession, openSession } from "../evaluate/session.ts";
import { bpw } from "../ggml/file-bytes.ts";
import type { FileType } from "../ggml/file-types.ts";
import { readFacts } from "../gguf/facts.ts";
import { fingerprint } from "../gguf/fingerprint.ts";
import { openModel } from "../gguf/open.ts";
import { type Imatrix, readImatrix } from "../imatrix/imatrix.ts";
import type { Backend } from "../kernels/backend.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { renderRecipe } from "../plan/recipe.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import { quantize } from "../quantize/quantize.ts";
import { PRISM_VERSION } from "../version.ts";
import { type Candidate, chooseControls } from "./candidates.ts";
import { checkGates, type Gate } from "./gates.ts";
import type { Run, RunAsked, RunRow } from "./run-document.ts";
import { openRun, type RunDirectory, runDirectory, saveRun } from "./run-state.ts";
import { judgeRows } from "./verdict.ts";

export interface RunOptions {
  readonly model: string;
  readonly out: string;
  readonly budget: PlanOptions["budget"];
  readonly mode?: "tensor" | "class";
  readonly constraints?: PlanOptions["constraints"];
  readonly headGuard?: boolean;
  readonly sensitivity: { readonly name: string; readonly of: (analysis: Analysis) => Sensitivity };
  /** Path of an importance matrix. */
  readonly imatrix?: string;
  /** Empty: the presets just below and above the plan's size. */
  readonly baselines: readonly FileType[];
  readonly text?: string;
  readonly context?: number;
  readonly chunks?: number;
  readonly seed: number;
  readonly threads: number;
  readonly gpuLayers: number;
  readonly exactMetrics?: boolean;
  readonly exactDistortion?: boolean;
  readonly gates: readonly Gate[];
  readonly cacheDir?: string;
  readonly cacheLimitBytes?: number;
  /** Keep the controls' models too; the plan's is always kept. */
  readonly keepModels?: boolean;
  readonly allowRequantize?: boolean;
  readonly force?: boolean;
  readonly engine: Engine;
  readonly backend: Backend;
  readonly signal?: AbortSignal;
  /** A stage begins. */
  readonly onStage?: (stage: string) => void;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Run the loop. What comes back is what state.json holds; missed gates are in `gates`, not thrown. */
export async function run(options: RunOptions): Promise<Run> {
  const directory = runDirectory(options.out);
  try {
    return await runSteps(options, directory);
  } finally {
    // Without a cache the logits lie in the run's directory while it lasts.
    await rm(join(directory.path, "cache"), { recursive: true, force: true });
  }
}

async function runSteps(options: RunOptions, directory: RunDirectory): Promise<Run> {
  const imatrix = options.imatrix === undefined ? undefined : await readImatrix(options.imatrix);
  let state = await openRun(directory, await describeAsked(options, imatrix), options.force ?? false);
  if (state.rows.length === 0 && options.force) await rm(directory.analysis, { force: true });
  await saveRun(directory, state);
  const analysis = await analysisOf(options, directory, imatrix);
  const planOptions: PlanOptions = {
    analysis,
    sensitivity: options.sensitivity.of(analysis),
    budget: options.budget,
    mode: options.mode ?? "tensor",
    constraints: options.constraints ?? [],
    headGuard: options.headGuard ?? true,
  };
  const plan = await writePlan(directory, makePlan(planOptions));
  const planned: Candidate = {
    label: "plan",
    kind: "plan",
    slug: "plan",
    spec: planSpec(plan, options.model, directory.model("plan"), imatrix),
  };
  const controls = chooseControls({
    plan,
    planOptions,
    baselines: options.baselines,
    pathOf: directory.model,
    ...(imatrix === undefined ? {} : { imatrix }),
  });
  state = await evaluateAll(options, directory, { ...state, warnings: plan.warnings }, [planned, ...controls], plan);
  const finished = { ...state, finishedAt: state.finishedAt ?? new Date().toISOString() };
  await saveRun(directory, finished);
  return finished;
}

async function describeAsked(options: RunOptions, imatrix: Imatrix | undefined): Promise<RunAsked> {
  const file = await openModel(options.model);
  try {
    const { engine } = options;
    return {
      model: options.model,
      fingerprint: await fingerprint(file),
      budget: JSON.stringify(options.budget),
      mode: options.mode ?? "tensor",
      constraints: (options.constraints ?? []).map((constraint) => JSON.stringify(constraint)),
      headGuard: options.headGuard ?? true,
      sensitivity: options.sensitivity.name,
      ...(imatrix === undefined ? {} : { imatrix: imatrix.sha256 }),
      baselines: options.baselines,
      text: options.text === undefined ? "sampled" : await sha256OfText(options.text),
      ...(options.context === undefined ? {} : { context: options.context }),
      ...(options.chunks === undefined ? {} : { chunks: options.chunks }),
      seed: options.seed,
      exactMetrics: options.exactMetrics ?? false,
      exactDistortion: options.exactDistortion ?? false,
      engine: `${engine.info.kind} ${engine.info.version}`,
      prismVersion: PRISM_VERSION,
    };
  } finally {
    await file.close();
  }
}

async function sha256OfText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new FileError(path, error.code === "ENOENT" ? "no such text file; check --text" : error.message, {
      cause: error,
    });
  });
  return createHash("sha256").update(bytes).digest("hex");
}

async function analysisOf(
  options: RunOptions,
  directory: RunDirectory,
  imatrix: Imatrix | undefined,
): Promise<Analysis> {
  if (await fileExists(directory.analysis)) {
    return readAnalysis(await readFile(directory.analysis, "utf8"), directory.analysis);
  }
  options.onStage?.("analyzing");
  const file = await openModel(options.model);
  try {
    const analysis = await analyze(file, readFacts(file.model), {
      engine: options.engine,
      backend: options.backend,
      seed: options.seed,
      threads: options.threads,
      exactMetrics: options.exactMetrics ?? false,
      exactDistortion: options.exactDistortion ?? false,
      ...(imatrix === undefined ? {} : { imatrix }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    });
    await writeFileAside(directory.analysis, `${JSON.stringify(analysis)}\n`);
    return analysis;
  } finally {
    await file.close();
  }
}

async function writePlan(directory: RunDirectory, plan: Plan): Promise<Plan> {
  await writeFileAside(directory.plan, `${JSON.stringify(plan, null, 2)}\n`);
  for (const [name, content] of Object.entries(renderRecipe(plan))) {
    await writeFileAside(join(directory.plans, name), content);
  }
  return plan;
}

async function evaluateAll(
  options: RunOptions,
  directory: RunDirectory,
  begun: Run,
  candidates: readonly Candidate[],
  plan: Plan,
): Promise<Run> {
  let state = begun;
  let session: EvaluationSession | undefined;
  try {
    for (const candidate of candidates) {
      if (state.rows.some(({ label }) => label === candidate.label) && (await isKept(options, candidate))) continue;
      await quantizeCandidate(options, candidate);
      session ??= await openSession(sessionOptions(options, directory, state, candidates[0]?.spec.output ?? ""));
      options.onStage?.(`evaluating ${candidate.label}`);
      const evaluation = await session.evaluateModel(candidate.spec.output);
      const document = assembleEvaluation(options, session, [evaluation]);
      await writeFileAside(directory.evaluation(candidate.slug), `${JSON.stringify(document, null, 2)}\n`);
      if (candidate.kind !== "plan" && !options.keepModels) await rm(candidate.spec.output, { force: true });
      state = addRow(state, rowOf(candidate, evaluation), session, options.gates, referenceRow(options, plan, session));
      await saveRun(directory, state);
    }
  } finally {
    await session?.close();
  }
  return { ...state, gates: gatesOf(state, options.gates) };
}

/** A row counts as finished only while the model it promises is there. */
async function isKept(options: RunOptions, { kind, spec }: Candidate): Promise<boolean> {
  return kind === "plan" || options.keepModels ? fileExists(spec.output) : true;
}

async function quantizeCandidate(options: RunOptions, candidate: Candidate): Promise<void> {
  options.onStage?.(`quantizing ${candidate.label}`);
  await quantize(candidate.spec, {
    engine: options.engine,
    threads: options.threads,
    force: true,
    allowRequantize: options.allowRequantize ?? false,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  });
}

function sessionOptions(options: RunOptions, directory: RunDirectory, state: Run, pilot: string) {
  // A resumed run scores the chunks that the first row was scored on.
  const chunks = options.chunks ?? state.text?.chunks;
  return {
    engine: options.engine,
    reference: options.model,
    pilot,
    seed: options.seed,
    threads: options.threads,
    gpuLayers: options.gpuLayers,
    cacheDir: options.cacheDir ?? join(directory.path, "cache"),
    ...(options.text === undefined ? {} : { text: options.text }),
    ...(options.context === undefined ? {} : { context: options.context }),
    ...(chunks === undefined ? {} : { chunks }),
    ...(options.cacheLimitBytes === undefined ? {} : { cacheLimitBytes: options.cacheLimitBytes }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.onStage === undefined ? {} : { onNote: options.onStage }),
    onProgress: (_: string, done: number, total: number) => options.onProgress?.(done, total),
  };
}

function rowOf({ label, kind }: Candidate, evaluation: ModelEvaluation): RunRow {
  const { fileBytes, bpw, ppl, lnPplRatio, kld, sameTop, sameTopSe, perChunk } = evaluation;
  return {
    label,
    kind,
    fileBytes,
    bpw,
    ppl,
    ...(lnPplRatio === undefined ? {} : { lnPplRatio }),
    ...(kld === undefined ? {} : { kld }),
    ...(sameTop === undefined ? {} : { sameTop }),
    ...(sameTopSe === undefined ? {} : { sameTopSe }),
    ...(perChunk?.kld === undefined ? {} : { kldPerChunk: perChunk.kld }),
  };
}

function referenceRow({ model }: RunOptions, plan: Plan, session: EvaluationSession): RunRow {
  const ppl = session.referencePpl();
  const bytes = plan.source.fileBytes;
  return {
    label: model.replace(/^.*[/\\]/, ""),
    kind: "reference",
    fileBytes: bytes,
    bpw: bpw(plan.tensors.map(({ shape, sourceType }) => ({ shape, type: sourceType }))),
    ...(ppl === undefined ? {} : { ppl }),
  };
}

/** The state with this row added, or put in the place of its predecessor; judged anew. */
function addRow(state: Run, row: RunRow, session: EvaluationSession, gates: readonly Gate[], reference: RunRow): Run {
  const others = state.rows.filter(({ label, kind }) => label !== row.label && kind !== "reference");
  const rows = judgeRows([reference, ...others, row], session.text.chunks);
  const verdict = rows.find(({ kind }) => kind === "plan")?.verdict;
  const next: Run = {
    ...state,
    text: session.text,
    rows,
    warnings: [...new Set([...state.warnings, ...session.warnings])],
    ...(verdict === undefined ? {} : { verdict }),
  };
  return { ...next, gates: gatesOf(next, gates) };
}

function gatesOf(state: Run, gates: readonly Gate[]) {
  const plan = state.rows.find(({ kind }) => kind === "plan");
  return plan === undefined ? [] : checkGates(gates, plan);
}
