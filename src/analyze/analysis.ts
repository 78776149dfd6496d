/**
 * The Analysis document (`prism.analysis/1`): what analyze/ measured of a model, and all that plan/ needs to plan
 * without the model file. Plain JSON: a value that could not be computed is absent, never NaN or null.
 */
import { defineDocument } from "../documents/document-kind.ts";
import {
  amount,
  bytes,
  type Content,
  count,
  exactly,
  flag,
  given,
  list,
  name,
  number,
  object,
  oneOf,
  optional,
  some,
  table,
  text,
} from "../documents/fields.ts";
import { MODEL_FACTS } from "../ggml/model-facts.ts";
import { TENSOR_TYPE_NAMES } from "../ggml/tensor-types.ts";
import { TENSOR_TYPE } from "../ggml/type-fields.ts";

export const MODEL_IDENTITY = object(
  {
    path: name(),
    shards: list(name(), { min: 1, max: 65_536 }),
    arch: text(),
    name: optional(text()),
    tensorCount: count(),
    elements: bytes(),
    fileBytes: bytes(),
    headerHash: text("SHA-256 over the header bytes of all shards."),
  },
  { description: "Which model it is, wherever the file lies." },
);
export interface ModelIdentity extends Content<typeof MODEL_IDENTITY> {}

export const IMATRIX_IDENTITY = object(
  {
    path: name(),
    sha256: text(),
    file: name("quantize.imatrix.file, as llama-quantize writes it; `dataset`, `entries` and `chunks` likewise."),
    dataset: text(),
    entries: count(),
    chunks: count(),
    unseenExperts: optional(
      list(object({ class: text(), experts: count(), unseen: count() }), {
        max: 1024,
        description: "Classes with experts that no token of its text was routed to; absent where none.",
      }),
    ),
  },
  { description: "Which imatrix weighted the distortion, with the strings the quantized file will carry." },
);
export interface ImatrixIdentity extends Content<typeof IMATRIX_IDENTITY> {}

/** `se` is 0 where every row was measured. */
export interface Estimate {
  readonly value: number;
  readonly se: number;
}

export const DISTORTION_ESTIMATE = object({
  value: amount("D: relative squared error of the ggml round trip."),
  se: amount("Standard error; 0 where every row was measured."),
  ratioTo: optional(
    given(TENSOR_TYPE, {
      description: "Measured on a part of the bands as a ratio to this type, whose standard error is in `se` too.",
    }),
  ),
  dominatedBy: optional(
    given(TENSOR_TYPE, {
      description: "This type takes no more bytes and has clearly less error: sampling stopped early.",
    }),
  ),
});
/** D of a tensor in a type. */
export interface DistortionEstimate extends Content<typeof DISTORTION_ESTIMATE> {}

const METRICS = object({
  alphaHill: optional(
    object(
      { value: number(), tail: number(), se: number(), rankDeficient: optional(exactly(true)) },
      {
        description:
          "PL-Alpha-Hill: the exponent, the tail size it was fitted on, (α−1)/√K, and whether rank is missing.",
      },
    ),
  ),
  spectralDominance: optional(
    object(
      { value: number(), stableRank: number() },
      { description: "ln of σ₁²/‖W‖² over its Gaussian null (nats); with the stable rank ‖W‖²/σ₁²." },
    ),
  ),
  osqe: optional(
    object(
      { b2: amount(), b3: amount(), b4: amount(), b6: amount() },
      { description: "Relative squared error of scale-optimal quantization in groups of 32." },
    ),
  ),
  imbalance: optional(
    object(
      { value: amount(), row: amount(), column: amount(), columnLogSpread: amount() },
      {
        description: "max(row, column) coefficient of variation of the RMS; `columnLogSpread` is MAD of ln column RMS.",
      },
    ),
  ),
  fragility: optional(number("ln(OSQE(2)/OSQE(4)), nats.")),
  boundaryDensity: optional(number("BD*: density near decision thresholds relative to uniform, minus 1.")),
  spectralPosition: optional(
    number("(1−2u)² of the layer's position in spectral log-gain, 0 mid-network, 1 at the ends."),
  ),
});
export interface Metrics extends Content<typeof METRICS> {}

export type MetricName = keyof Metrics;

export const TENSOR_ANALYSIS = object({
  name: name(),
  class: text(),
  layer: optional(count()),
  shape: list(some(), { min: 1, max: 4 }),
  elements: bytes(),
  sourceType: TENSOR_TYPE,
  eligible: flag(),
  ineligibleReason: optional(text("Why llama-quantize leaves it alone.")),
  metrics: optional(METRICS),
  omitted: optional(
    // names of metrics that a later version adds are let through
    table<ReturnType<typeof text>, MetricName>(text(), { description: "Why a metric is absent." }),
  ),
  distortion: optional(
    table(DISTORTION_ESTIMATE, {
      names: TENSOR_TYPE_NAMES,
      description: "D of each candidate type (already after row-size fallback).",
    }),
  ),
  importance: optional(
    oneOf(
      ["used", "missing", "mismatch"],
      "Whether this tensor had importance values, and why not if an imatrix was given.",
    ),
  ),
  powerless: optional(flag({ description: "Every weight is zero (or weighs nothing): D is 0 for every type." })),
  rowsRead: optional(bytes()),
  rows: optional(bytes()),
});
export interface TensorAnalysis extends Content<typeof TENSOR_ANALYSIS> {}

type SummarizedMetric = Exclude<MetricName, "osqe"> | "osqe3";

const CLASS_SUMMARY = object(
  {
    class: text(),
    tensors: count(),
    elements: bytes(),
    metrics: table<ReturnType<typeof number>, SummarizedMetric>(number()),
  },
  { description: "Element-weighted means of a tensor class." },
);
export interface ClassSummary extends Content<typeof CLASS_SUMMARY> {}

export const ANALYSIS = defineDocument({
  id: "prism.analysis/1",
  noun: "an analysis",
  remedy: "make it again with prism analyze",
  description: "What was measured of every tensor of a GGUF model: all that planning needs without the model file.",
  schema: object({
    schema: exactly("prism.analysis/1"),
    prismVersion: text(),
    createdAt: text(),
    model: MODEL_IDENTITY,
    facts: MODEL_FACTS,
    engine: object({ version: text(), origin: text() }),
    backend: text(),
    imatrix: optional(IMATRIX_IDENTITY),
    sampling: object({
      exactMetrics: flag(),
      exactDistortion: flag(),
      seed: number(),
      targetRelativeSe: amount("Relative standard error of D that sampling stopped at."),
      bytesRead: bytes(),
      elapsedMs: amount(),
    }),
    tensors: list(TENSOR_ANALYSIS),
    classes: list(CLASS_SUMMARY),
  }),
});
export interface Analysis extends Content<typeof ANALYSIS.schema> {}
