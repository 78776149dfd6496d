/**
 * The Evaluation document (`prism.evaluation/1`): perplexity and KL divergence of models against a reference on one
 * text; of rerankers, the scores of documents instead or as well; of models that embed, their vectors. Values that could not be computed are absent.
 */
import { type TUnsafe, Type } from "@sinclair/typebox";
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";
import { GATE_RESULT } from "../documents/gate-result.ts";
import { EMBEDDING_RESULT, RETRIEVAL_SET_SUMMARY } from "./embedding-result.ts";
import { RERANK_RESULT, RERANK_SET_SUMMARY } from "./rerank-result.ts";
import { SPEED } from "./speed.ts";

export const MEAN_SE = t.measured();
export interface MeanSe extends t.Content<typeof MEAN_SE> {}

export const PPL = t.measured(t.amount());

export const MEASURED_SHA256 = t.text(
  "Of the file when it was measured, in hexadecimal digits; a run's files have it.",
);

export const KLD_SUMMARY = t.object(
  {
    mean: t.nats(),
    se: t.amount(),
    median: t.nats(),
    p99: t.number(),
    max: t.number(),
  },
  "Nats per token.",
);
export interface KldSummary extends t.Content<typeof KLD_SUMMARY> {}

const MODEL_FILE = {
  path: t.name(),
  fileBytes: t.bytes(),
  bpw: t.amount(),
  sha256: t.optional(MEASURED_SHA256),
  gates: t.optional(t.list(GATE_RESULT, "Of --require; absent where nothing was required.")),
};

/** How near to the reference, of some tokens. */
const NEARNESS = {
  ppl: PPL,
  lnPplRatio: t.optional(t.measured(t.number(), "ln(PPL(model) / PPL(reference)).")),
  kld: t.optional(KLD_SUMMARY),
  sameTop: t.optional(t.percent("Percent of tokens whose most likely token is the reference's.")),
  sameTopSe: t.optional(t.amount()),
};
const NEARNESS_OF_TOKENS = t.object(NEARNESS);
export interface Nearness extends t.Content<typeof NEARNESS_OF_TOKENS> {}

export const KIND_FIGURES = t.object(
  { kind: t.name(), chunks: t.count(), tokens: t.count("Scored."), ...NEARNESS },
  "On text of one kind.",
);
export interface KindFigures extends t.Content<typeof KIND_FIGURES> {}

export const KV_FIGURES = t.object(
  { k: t.text("Type of the cache of keys."), v: t.text("Of that of values."), ...NEARNESS },
  "On the same text with caches of these types; the reference's are F16.",
);
export interface KvFigures extends t.Content<typeof KV_FIGURES> {}

export const MODEL_EVALUATION = t.object({
  ...MODEL_FILE,
  ...NEARNESS,
  chunks: t.count(),
  tokens: t.count(),
  kinds: t.optional(t.list(KIND_FIGURES, "By kind of text; absent where that was not asked for.")),
  kvCache: t.optional(KV_FIGURES),
  perChunk: t.optional(
    t.object(
      { kld: t.optional(t.list(t.nats())), nll: t.list(t.number()) },
      "Mean KLD and mean NLL per chunk: what paired comparisons between models are made of.",
    ),
  ),
  rerank: t.optional(RERANK_RESULT),
  speed: t.optional(SPEED),
  elapsedMs: t.amount(),
});
export interface ModelEvaluation extends t.Content<typeof MODEL_EVALUATION> {}

export const SCORED_TEXT = t.object({
  source: t.oneOf(["file", "sampled"]),
  path: t.optional(t.name()),
  sha256: t.text(),
  seed: t.optional(t.number()),
  context: t.count("Tokens of a chunk."),
  chunks: t.count(),
  spread: t.optional(t.exactly(true, "Evenly over the whole text; absent where they are its first.")),
  tokens: t.count("Scored."),
});

const COMMON = {
  schema: t.exactly("prism.evaluation/1"),
  prismVersion: t.text(),
  createdAt: t.text(),
  engine: t.object({
    kind: t.text(),
    version: t.text(),
    origin: t.prose(),
    devices: t.list(t.prose()),
    gpuLayers: t.optional(t.count("Layers that were on a GPU; absent: none.")),
  }),
  warnings: t.list(t.prose()),
};

const TEXT_EVALUATION = t.object({
  ...COMMON,
  reference: t.optional(
    t.object({
      path: t.name(),
      headerHash: t.text(),
      ppl: PPL,
      rerank: t.optional(RERANK_RESULT),
      speed: t.optional(SPEED),
    }),
  ),
  rerankSet: t.optional(RERANK_SET_SUMMARY),
  text: SCORED_TEXT,
  models: t.list(MODEL_EVALUATION),
});
export interface Evaluation extends t.Content<typeof TEXT_EVALUATION> {}

const RANKED_MODEL = t.object({ ...MODEL_FILE, rerank: RERANK_RESULT, elapsedMs: t.amount() });
export interface RankedModel extends t.Content<typeof RANKED_MODEL> {}

const RERANK_EVALUATION = t.object({
  ...COMMON,
  reference: t.optional(t.object({ path: t.name(), headerHash: t.text(), rerank: RERANK_RESULT })),
  rerankSet: RERANK_SET_SUMMARY,
  models: t.list(RANKED_MODEL),
});
/** An evaluation by ranking alone: of models whose next token says nothing, and wherever no text was asked for. */
export interface RerankEvaluation extends t.Content<typeof RERANK_EVALUATION> {}

const EMBEDDED_MODEL = t.object({ ...MODEL_FILE, embedding: EMBEDDING_RESULT, elapsedMs: t.amount() });
export interface EmbeddedModel extends t.Content<typeof EMBEDDED_MODEL> {}

const EMBEDDING_EVALUATION = t.object({
  ...COMMON,
  reference: t.optional(t.object({ path: t.name(), headerHash: t.text(), embedding: EMBEDDING_RESULT })),
  retrievalSet: RETRIEVAL_SET_SUMMARY,
  models: t.list(EMBEDDED_MODEL),
});
/** An evaluation by embeddings: of models that give nothing else. */
export interface EmbeddingEvaluation extends t.Content<typeof EMBEDDING_EVALUATION> {}

const has = (field: string) => ({ type: "object", properties: { [field]: {} }, required: [field] });

const when = (condition: object, schema: object, otherwise: object) => ({
  type: "object",
  if: condition,
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: schema,
  else: otherwise,
});

/** By its set where it has one and no text; the rules of one branch, so that a message names the field. */
const EITHER: TUnsafe<Evaluation | RerankEvaluation | EmbeddingEvaluation> = Type.Unsafe(
  when(
    { not: has("text"), ...has("rerankSet") },
    RERANK_EVALUATION,
    when({ not: has("text"), ...has("retrievalSet") }, EMBEDDING_EVALUATION, TEXT_EVALUATION),
  ),
);

export const EVALUATION = defineDocument({
  id: "prism.evaluation/1",
  noun: "an evaluation",
  remedy: "evaluate again",
  description:
    "Perplexity and KL divergence of models against a reference on one text, how they rank documents, or how they embed texts.",
  schema: EITHER,
});
