/** Rows of a run from what was evaluated; every new row has all of them judged anew. */
import { baseName } from "../base-name.ts";
import type { EmbeddingSession } from "../embed/embeddings.ts";
import type { EmbeddedModel, ModelEvaluation, RankedModel } from "../evaluate/evaluation.ts";
import type { EvaluationSession } from "../evaluate/session.ts";
import { bpw } from "../ggml/file-bytes.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { Plan } from "../plan/plan.ts";
import { lossOfTypes } from "../plan/predict.ts";
import { present } from "../present.ts";
import type { RerankSession } from "../rerank/rerank.ts";
import type { Candidate } from "./candidates.ts";
import { checkGates, type Gate } from "./gates.ts";
import type { Run, RunRow } from "./run-document.ts";
import { creditsSensitivity, judgeRows, verdictOf } from "./verdict.ts";

/** What a run's models are measured in, as far as they are. */
export interface Sessions {
  readonly session?: EvaluationSession | undefined;
  readonly ranking?: RerankSession | undefined;
  readonly embedding?: EmbeddingSession | undefined;
}

/** What was measured of a model: one of them at least. */
export interface Measurements {
  readonly evaluation?: ModelEvaluation | undefined;
  readonly ranked?: RankedModel | undefined;
  readonly embedded?: EmbeddedModel | undefined;
}

/** A file that was measured, and what it is a row of. */
export interface MeasuredFile extends Pick<Candidate, "label" | "kind" | "plan"> {
  /** Of its tensors, by name. */
  readonly types: ReadonlyMap<string, TensorType>;
  readonly from?: string | undefined;
}

export function rowOf(
  { label, kind, types, from, plan: own }: MeasuredFile,
  { evaluation, ranked, embedded }: Measurements,
  plan: Plan,
): RunRow {
  const predictedLoss = lossOfTypes(own ?? plan, types, kind === "feedback" ? "feedback" : "rounded");
  const { ppl, lnPplRatio, kld, sameTop, sameTopSe, kinds, kvCache, perChunk } = evaluation ?? {};
  const file = evaluation ?? ranked ?? embedded;
  const sha256 = file?.sha256;
  return {
    label,
    kind,
    fileBytes: file?.fileBytes ?? 0,
    ...present({ from, sha256 }),
    bpw: file?.bpw ?? 0,
    ...rankingOf(ranked),
    ...embeddingOf(embedded),
    ...present({ ppl, lnPplRatio, kld, sameTop, sameTopSe, kinds, kvCache, predictedLoss, kldPerChunk: perChunk?.kld }),
  };
}

export function rankingOf(ranked: Pick<RankedModel, "rerank"> | undefined): Pick<RunRow, "rerank"> {
  const { fidelity, ndcg10 } = ranked?.rerank ?? {};
  if (fidelity === undefined) return {};
  return { rerank: { ...fidelity, ...present({ ndcg10 }) } };
}

export function embeddingOf(embedded: Pick<EmbeddedModel, "embedding"> | undefined): Pick<RunRow, "embedding"> {
  const { fidelity, ndcg10 } = embedded?.embedding ?? {};
  if (fidelity === undefined) return {};
  return { embedding: { ...fidelity, ...present({ ndcg10 }) } };
}

export function referenceRow({ source, tensors }: Plan, session: EvaluationSession | undefined): RunRow {
  const ppl = session?.referencePpl();
  return {
    label: baseName(source.path),
    kind: "reference",
    fileBytes: source.fileBytes,
    bpw: bpw(tensors.map(({ shape, sourceType }) => ({ shape, type: sourceType }))),
    ...present({ ppl }),
  };
}

/** The state with this row and the reference's, in the place of their predecessors. */
export function addRow(state: Run, row: RunRow, reference: RunRow, { session, ranking, embedding }: Sessions): Run {
  const others = state.rows.filter(({ kind }) => kind !== "reference");
  const isKnown = others.some(({ label }) => label === row.label);
  const rows = isKnown ? others.map((known) => (known.label === row.label ? row : known)) : [...others, row];
  return {
    ...state,
    ...present({ text: session?.text }),
    rows: [reference, ...rows],
    warnings: [...new Set([...state.warnings, ...[session, ranking, embedding].flatMap((one) => one?.warnings ?? [])])],
  };
}

/** Judge the rows, and the plan by the gates. `complete`: all controls are there to credit the sensitivity by. */
export function judgeRun(state: Run, gates: readonly Gate[], complete: boolean): Run {
  const { verdict: _, verdictCode: __, creditsSensitivity: ___, ...rest } = state;
  const chunks = state.text?.chunks ?? 0;
  const credited = complete ? creditsSensitivity(state.rows, chunks) : undefined;
  const rows = judgeRows(state.rows, chunks, credited);
  const plan = rows.find(({ kind }) => kind === "plan");
  return {
    ...rest,
    rows,
    gates: plan === undefined ? [] : checkGates(gates, plan, rows),
    ...present({ verdict: plan?.verdict, verdictCode: verdictOf(rows, chunks), creditsSensitivity: credited }),
  };
}
