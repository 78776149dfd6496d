/** The rows of a run: each candidate is quantized, evaluated in one session, and kept or deleted. */
import { rm } from "node:fs/promises";
import type { Bench } from "../bench.ts";
import { fileExists } from "../disk/aside-file.ts";
import { hashFile } from "../disk/file-hash.ts";
import { assembleEmbeddingEvaluation, type EmbeddingSession, openEmbeddingSession } from "../embed/embeddings.ts";
import { StoppedError } from "../errors.ts";
import { assembleEvaluation } from "../evaluate/evaluate.ts";
import type { MoreFigures } from "../evaluate/evaluate-options.ts";
import type { EmbeddingEvaluation, Evaluation, RerankEvaluation } from "../evaluate/evaluation.ts";
import { type FileToScore, makeFile } from "../evaluate/score-file.ts";
import { type EvaluationSession, openSession } from "../evaluate/session.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { Plan } from "../plan/plan.ts";
import { present } from "../present.ts";
import { assembleRerankEvaluation, joinRerank, openRerankSession, type RerankSession } from "../rerank/rerank.ts";
import type { Candidate } from "./candidates.ts";
import { paceWithin } from "./deadline.ts";
import { RUN_STAGES } from "./estimate.ts";
import { tellFiles } from "./expect.ts";
import { isIntact, type KeptModel, measuredModel, writeKept } from "./kept-files.ts";
import { isAlwaysKept } from "./kept-slugs.ts";
import type { OpenRun } from "./open-run.ts";
import type { Rival } from "./rivals.ts";
import type { Run, RunRow } from "./run-document.ts";
import {
  addRow,
  judgeRun,
  type MeasuredFile,
  type Measurements,
  referenceRow,
  rowOf,
  type Sessions,
} from "./run-rows.ts";
import { proofOf } from "./run-source.ts";
import { saveRun } from "./run-state.ts";
import { type Score, scoreCandidate } from "./score-candidate.ts";
import { shownLabel } from "./shown-label.ts";
import { standsInParts } from "./split-models.ts";
import { isChoice, isTimed, timeFiles } from "./time-files.ts";

/** Finish the rows that `begun` lacks; the plan comes first. The state is saved after each. */
export async function evaluateCandidates(
  run: OpenRun,
  begun: Run,
  candidates: readonly Candidate[],
  plan: Plan,
): Promise<Run> {
  const { request, source, directory, bench } = run;
  const isKept = (kind: RunRow["kind"]) => isAlwaysKept(kind) || request.keepModels;
  const timed = candidates.filter(({ kind }) => isTimed(run, kind));
  const untimed = candidates.filter((candidate) => !timed.includes(candidate));
  const pace = paceWithin(request.deadline);
  const rivals = source.rivals.map(rivalFile);
  const timedRivals = rivals.filter(({ kind }) => isTimed(run, kind));
  // rivals were asked for by name: they come before the controls that were not
  const ordered = [...timed, ...rivals, ...untimed];
  let state = begun;
  let session: EvaluationSession | undefined;
  let ranking: RerankSession | undefined;
  let embedding: EmbeddingSession | undefined;
  /** What is made or judged in earnest, within the time there is. */
  const timely = (file: Candidate | RivalFile, work: () => Promise<Run>): Promise<Run> => {
    if (pace.isHopeless()) throw new StoppedError("what is left of --max-time is too short for another file");
    bench.progress.begin?.(RUN_STAGES.files, { index: ordered.indexOf(file), name: shownLabel(file.label) });
    return pace.timed(work);
  };
  const measure = async (model: OpenModel, file: MeasuredFile, slug: string, made: MadeFile): Promise<Run> => {
    if (source.measures.text) session ??= await openRunSession(run, state, model);
    if (source.measures.rerank) ranking ??= await openRanking(run);
    if (source.measures.embeddings) embedding ??= await openEmbedding(run);
    bench.progress.steps(`evaluating ${file.label}`, 0, 1);
    const hashed = present({ sha256: made.sha256 });
    const evaluation = session && { ...(await session.evaluateModel(model, isChoice(file.kind))), ...hashed };
    const ranked = ranking && { ...(await ranking.rankModel(model)), ...hashed };
    const embedded = embedding && { ...(await embedding.embedModel(model)), ...hashed };
    const measurements = { evaluation, ranked, embedded };
    const document = assembleDocument({ session, ranking, embedding }, measurements, bench);
    const path = directory.evaluation(slug);
    const kept = await writeKept(made.state, directory, path, `${JSON.stringify(document, null, 2)}\n`);
    const measured = rowOf(file, measurements, plan);
    const known = measuredModel(kept, directory, model.path);
    const added = addRow(known, measured, referenceRow(plan, session), { session, ranking, embedding });
    const judged = judgeRun(added, request.gates, false);
    await saveRun(directory, judged);
    return judged;
  };
  const finish = async (candidate: Candidate): Promise<Run> => {
    const { label, kind, slug, spec } = candidate;
    const keep = isKept(kind);
    const later = timed.includes(candidate);
    const file = { spec, label, keep, later, allowRequantize: request.allowRequantize, prove: proofOf(source) };
    const row = await measuredRow(run, state, label, slug);
    if (row !== undefined && !keep) {
      if (!later) await rm(spec.output, { force: true });
      return state;
    }
    if (row !== undefined && (await keepMeasured(run, state, file, row))) return state;
    const score: Score<Run> = (model, made) => measure(model, { ...candidate, types: spec.expectedTypes }, slug, made);
    return timely(candidate, () => scoreCandidate(run, state, file, score));
  };
  try {
    tellFiles(run, ordered, timed.length + rivals.length, ({ label }) => state.rows.some((row) => row.label === label));
    for (const candidate of timed) state = await finish(candidate);
    for (const rival of rivals) {
      if ((await measuredRow(run, state, rival.label, rival.slug)) !== undefined) continue;
      const made = { state, ...present({ sha256: rival.sha256 }) };
      state = await timely(rival, () => measure(rival.model, rival, rival.slug, made));
    }
    const files = timed.map(({ label, spec }) => ({ label, path: spec.output }));
    state = await timeFiles(run, state, [
      ...files,
      ...timedRivals.map(({ label, model }) => ({ label, path: model.path })),
    ]);
    for (const { kind, spec } of timed) if (!isKept(kind)) await rm(spec.output, { force: true });
    for (const candidate of untimed) state = await finish(candidate);
  } finally {
    await session?.close();
  }
  return state;
}

/** A file that stands there, and the state that knows it. */
type MadeFile = Pick<KeptModel, "state"> & Partial<Pick<KeptModel, "sha256">>;

interface RivalFile extends MeasuredFile, Pick<Rival, "model" | "sha256"> {
  readonly slug: string;
}

function rivalFile({ label, from, model, sha256 }: Rival, index: number): RivalFile {
  const types = new Map(model.model.tensors.map(({ name, type }) => [name, type]));
  return { label, kind: "rival", types, from, slug: `rival-${index + 1}`, model, ...present({ sha256 }) };
}

/** The row of a candidate, unless what it was measured by is damaged: then it is measured again. */
async function measuredRow(
  { directory, bench }: OpenRun,
  state: Run,
  label: string,
  slug: string,
): Promise<RunRow | undefined> {
  const row = state.rows.find((known) => known.label === label);
  if (row === undefined || (await isIntact(state, directory, directory.evaluation(slug), bench))) return row;
  return undefined;
}

/**
 * Have the file of a row stand there as it was measured, made again where it is gone or another; false where even then it
 * is not the one that was measured.
 */
export async function keepMeasured(
  run: OpenRun,
  state: Run,
  file: FileToScore,
  { sha256 }: Pick<RunRow, "sha256">,
): Promise<boolean> {
  const { source, bench } = run;
  const { output } = file.spec;
  if (!(await fileExists(output)) && (await standsInParts(run, state, output, sha256))) return true;
  if (sha256 !== undefined && (await fileExists(output)) && (await hashFile(output)) !== sha256) {
    bench.progress.note(`! ${output} is not the file that was measured; making it again`);
    await rm(output);
  }
  await makeFile(source.model, file, bench);
  if (sha256 === undefined || (await hashFile(output)) === sha256) return true;
  bench.progress.note(`! ${output} came out otherwise than when it was measured; measuring it again`);
  return false;
}

function openRanking({ request, source, bench }: OpenRun): Promise<RerankSession> {
  bench.progress.note("ranking documents with the reference");
  return openRerankSession(source.model, { set: request.rerankSet, ...request.reading }, bench);
}

function openEmbedding({ request, source, bench }: OpenRun): Promise<EmbeddingSession> {
  bench.progress.note("embedding texts with the reference");
  return openEmbeddingSession(source.model, request.embedding ?? {}, bench);
}

function assembleDocument(
  { session, ranking, embedding }: Sessions,
  { evaluation, ranked, embedded }: Measurements,
  bench: Bench,
): Evaluation | RerankEvaluation | EmbeddingEvaluation | undefined {
  if (embedding !== undefined && embedded !== undefined) {
    return assembleEmbeddingEvaluation(embedding, [embedded], bench);
  }
  const judged =
    session === undefined || evaluation === undefined ? undefined : assembleEvaluation(session, [evaluation], bench);
  if (ranking === undefined || ranked === undefined) return judged;
  const ranks = assembleRerankEvaluation(ranking, [ranked], bench);
  return judged === undefined ? ranks : joinRerank(judged, ranks);
}

/** Another build's programs know the text alone; what was asked for by name is refused before. */
function moreFigures({ engine }: Bench, more: MoreFigures): MoreFigures {
  return engine.programs === undefined ? more : {};
}

/** `pilot`: the plan, unless a former run evaluated it: then its chunks are scored. */
export function openRunSession(
  { request, source, directory, bench }: OpenRun,
  state: Run,
  pilot: OpenModel,
): Promise<EvaluationSession> {
  const { text, context, chunks = state.text?.chunks, kinds, kv } = request;
  const availableChunks = state.refinement?.verdictChunks;
  // where nothing may be kept, the reference's logits are kept as long as the run lasts
  const cache = { ...bench.cache, dir: bench.cache.dir ?? directory.scratch };
  return openSession(
    { reference: source.model, pilot, others: source.rivals.map(({ model }) => model) },
    { text, context, chunks, availableChunks, spread: true, ...moreFigures(bench, { kinds, kv }) },
    { ...bench, cache },
  );
}
