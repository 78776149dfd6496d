/**
 * The Evaluation document (`prism.evaluation/1`): perplexity and KL divergence of models against a reference on one
 * text; of rerankers, the scores of documents instead or as well. Values that could not be computed are absent.
 */
import { type TUnsafe, Type } from "@sinclair/typebox";
import { defineDocument } from "../documents/document-kind.ts";
import {
  amount,
  bytes,
  type Content,
  count,
  exactly,
  list,
  measured,
  name,
  nats,
  number,
  object,
  oneOf,
  optional,
  percent,
  prose,
  text,
} from "../documents/fields.ts";
import { RERANK_RESULT, RERANK_SET_SUMMARY } from "./rerank-result.ts";

export const MEAN_SE = measured();
export interface MeanSe extends Content<typeof MEAN_SE> {}

export const PPL = measured(amount());

export const KLD_SUMMARY = object(
  {
    mean: nats(),
    se: amount(),
    median: nats(),
    p99: number(),
    max: number(),
  },
  { description: "Nats per token." },
);
export interface KldSummary extends Content<typeof KLD_SUMMARY> {}

const MODEL_FILE = { path: name(), fileBytes: bytes(), bpw: amount() };

const MODEL_EVALUATION = object({
  ...MODEL_FILE,
  ppl: PPL,
  lnPplRatio: optional(measured(number(), "ln(PPL(model) / PPL(reference)).")),
  kld: optional(KLD_SUMMARY),
  sameTop: optional(percent("Percent of tokens whose most likely token is the reference's.")),
  sameTopSe: optional(amount()),
  chunks: count(),
  tokens: count(),
  perChunk: optional(
    object(
      { kld: optional(list(nats())), nll: list(number()) },
      {
        description: "Mean KLD and mean NLL per chunk: what paired comparisons between models are made of.",
      },
    ),
  ),
  rerank: optional(RERANK_RESULT),
  elapsedMs: amount(),
});
export interface ModelEvaluation extends Content<typeof MODEL_EVALUATION> {}

export const SCORED_TEXT = object({
  source: oneOf(["file", "sampled"]),
  path: optional(name()),
  sha256: text(),
  seed: optional(number()),
  context: count("Tokens of a chunk."),
  chunks: count(),
  spread: optional(exactly(true, { description: "Evenly over the whole text; absent where they are its first." })),
  tokens: count("Scored."),
});

const COMMON = {
  schema: exactly("prism.evaluation/1"),
  prismVersion: text(),
  createdAt: text(),
  engine: object({ kind: text(), version: text(), origin: prose(), devices: list(prose()) }),
  warnings: list(prose()),
};

const TEXT_EVALUATION = object({
  ...COMMON,
  reference: optional(object({ path: name(), headerHash: text(), ppl: PPL, rerank: optional(RERANK_RESULT) })),
  rerankSet: optional(RERANK_SET_SUMMARY),
  text: SCORED_TEXT,
  models: list(MODEL_EVALUATION),
});
export interface Evaluation extends Content<typeof TEXT_EVALUATION> {}

const RANKED_MODEL = object({ ...MODEL_FILE, rerank: RERANK_RESULT, elapsedMs: amount() });
export interface RankedModel extends Content<typeof RANKED_MODEL> {}

const RERANK_EVALUATION = object({
  ...COMMON,
  reference: optional(object({ path: name(), headerHash: text(), rerank: RERANK_RESULT })),
  rerankSet: RERANK_SET_SUMMARY,
  models: list(RANKED_MODEL),
});
/** An evaluation by ranking alone: of models whose next token says nothing, and wherever no text was asked for. */
export interface RerankEvaluation extends Content<typeof RERANK_EVALUATION> {}

const has = (field: string) => ({ type: "object", properties: { [field]: {} }, required: [field] });

/** By its set where it has one and no text; the rules of one branch, so that a message names the field. */
const EITHER: TUnsafe<Evaluation | RerankEvaluation> = Type.Unsafe({
  type: "object",
  if: { not: has("text"), ...has("rerankSet") },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: RERANK_EVALUATION,
  else: TEXT_EVALUATION,
});

export const EVALUATION = defineDocument({
  id: "prism.evaluation/1",
  noun: "an evaluation",
  remedy: "evaluate again",
  description: "Perplexity and KL divergence of models against a reference on one text, or how they rank documents.",
  schema: EITHER,
});
