/** The rows of a run: each candidate is quantized, evaluated in one session, and kept or deleted. */
import { rm } from "node:fs/promises";
import type { Bench } from "../bench.ts";
import { writeFileAside } from "../disk/aside-file.ts";
import { assembleEvaluation } from "../evaluate/evaluate.ts";
import type { Evaluation, ModelEvaluation, RankedModel, RerankEvaluation } from "../evaluate/evaluation.ts";
import { makeFile, scoreFile } from "../evaluate/score-file.ts";
import { type EvaluationSession, openSession } from "../evaluate/session.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { Plan } from "../plan/plan.ts";
import { assembleRerankEvaluation, joinRerank, openRerankSession, type RerankSession } from "../rerank/rerank.ts";
import type { Candidate } from "./candidates.ts";
import type { OpenRun } from "./open-run.ts";
import type { Run } from "./run-document.ts";
import { addRow, judgeRun, referenceRow, rowOf } from "./run-rows.ts";
import { saveRun } from "./run-state.ts";

/** Finish the rows that `begun` lacks; the plan comes first. The state is saved after each. */
export async function evaluateCandidates(
  run: OpenRun,
  begun: Run,
  candidates: readonly Candidate[],
  plan: Plan,
): Promise<Run> {
  const { request, source, directory, bench } = run;
  let state = begun;
  let session: EvaluationSession | undefined;
  let ranking: RerankSession | undefined;
  try {
    for (const candidate of candidates) {
      const { label, slug, spec } = candidate;
      const keep = candidate.kind === "plan" || request.keepModels;
      const file = { spec, label, keep, allowRequantize: request.allowRequantize };
      if (state.rows.some((row) => row.label === label)) {
        if (keep) await makeFile(source.model, file, bench);
        else await rm(spec.output, { force: true });
        continue;
      }
      state = await scoreFile(
        source.model,
        file,
        async (model) => {
          if (source.measures.text) session ??= await openRunSession(run, state, model);
          if (source.measures.rerank) ranking ??= await openRanking(run);
          bench.progress.note(`evaluating ${label}`);
          const evaluation = await session?.evaluateModel(model);
          const ranked = await ranking?.rankModel(model);
          const document = assembleDocument(session, evaluation, ranking, ranked, bench);
          await writeFileAside(directory.evaluation(slug), `${JSON.stringify(document, null, 2)}\n`);
          const row = rowOf(candidate, { evaluation, ranked }, plan);
          const added = addRow(state, row, referenceRow(plan, session), { session, ranking });
          const judged = judgeRun(added, request.gates, false);
          await saveRun(directory, judged);
          return judged;
        },
        bench,
      );
    }
  } finally {
    await session?.close();
  }
  return state;
}

function openRanking({ request, source, bench }: OpenRun): Promise<RerankSession> {
  bench.progress.note("ranking documents with the reference");
  return openRerankSession(source.model, { set: request.rerankSet }, bench);
}

function assembleDocument(
  session: EvaluationSession | undefined,
  evaluation: ModelEvaluation | undefined,
  ranking: RerankSession | undefined,
  ranked: RankedModel | undefined,
  bench: Bench,
): Evaluation | RerankEvaluation | undefined {
  const judged =
    session === undefined || evaluation === undefined ? undefined : assembleEvaluation(session, [evaluation], bench);
  if (ranking === undefined || ranked === undefined) return judged;
  const ranks = assembleRerankEvaluation(ranking, [ranked], bench);
  return judged === undefined ? ranks : joinRerank(judged, ranks);
}

/** `pilot`: the plan, unless a former run evaluated it: then its chunks are scored. */
export function openRunSession(
  { request, source, directory, bench }: OpenRun,
  state: Run,
  pilot: OpenModel,
): Promise<EvaluationSession> {
  const { text, context, chunks = state.text?.chunks } = request;
  const availableChunks = state.refinement?.verdictChunks;
  // where nothing may be kept, the reference's logits are kept as long as the run lasts
  const cache = { ...bench.cache, dir: bench.cache.dir ?? directory.scratch };
  return openSession(
    { reference: source.model, pilot },
    { text, context, chunks, availableChunks, spread: true },
    { ...bench, cache },
  );
}
