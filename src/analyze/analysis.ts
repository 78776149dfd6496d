/**
 * The Analysis document (`prism.analysis/1`): what analyze/ measured of a model, and all that plan/ needs to plan
 * without the model file. Plain JSON: a value that could not be computed is absent, never NaN or null.
 */
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";
import { MODEL_FACTS } from "../ggml/model-facts.ts";
import { TENSOR_TYPE_NAMES } from "../ggml/tensor-types.ts";
import { TENSOR_TYPE } from "../ggml/type-fields.ts";
import type { SummaryMetric } from "./metric-table.ts";

export const MODEL_IDENTITY = t.object(
  {
    path: t.name(),
    shards: t.list(t.name(), { minItems: 1, maxItems: 65_536 }),
    arch: t.text(),
    name: t.optional(t.text()),
    tensorCount: t.count(),
    elements: t.bytes(),
    fileBytes: t.bytes(),
    headerHash: t.text("SHA-256 over the header bytes of all shards."),
    identity: t.optional(t.text("Root over the SHA-256 of the header and of every tensor; where all of it was read.")),
  },
  "Which model it is, wherever the file lies.",
);
export interface ModelIdentity extends t.Content<typeof MODEL_IDENTITY> {}

export const IMATRIX_IDENTITY = t.object(
  {
    path: t.name(),
    sha256: t.text(),
    file: t.name(
      "quantize.imatrix.file, of which llama-quantize writes the first 127 bytes; `dataset`, `entries` and `chunks` likewise.",
    ),
    dataset: t.text(),
    entries: t.count(),
    chunks: t.count(),
    unseenExperts: t.optional(
      t.list(t.object({ class: t.text(), experts: t.count(), unseen: t.count() }), {
        maxItems: 1024,
        description:
          "Classes with experts, or dense tensors (counted as `experts` too), that no token of its text reached; absent where none.",
      }),
    ),
  },
  "Which imatrix weighted the distortion, with the strings the quantized file will carry.",
);
export interface ImatrixIdentity extends t.Content<typeof IMATRIX_IDENTITY> {}

/** `se` is 0 where every row was measured. */
export interface Estimate {
  readonly value: number;
  readonly se: number;
}

export const DISTORTION_ESTIMATE = t.object({
  value: t.amount("D: relative squared error of the ggml round trip."),
  se: t.amount("Standard error; 0 where every row was measured."),
  ratioTo: t.optional(
    t.given(
      TENSOR_TYPE,
      "Measured on a part of the bands as a ratio to this type, whose standard error is in `se` too.",
    ),
  ),
  feedback: t.optional(
    t.given(
      t.amount("Part of the error that is left where codes are chosen with error feedback, on inputs held out."),
      {
        maximum: 1,
      },
    ),
  ),
  dominatedBy: t.optional(
    t.given(TENSOR_TYPE, "This type takes no more bytes and has clearly less error: sampling stopped early."),
  ),
});
/** D of a tensor in a type. */
export interface DistortionEstimate extends t.Content<typeof DISTORTION_ESTIMATE> {}

export const ALPHA_HILL = t.object(
  { value: t.number(), tail: t.number(), se: t.number(), rankDeficient: t.optional(t.exactly(true)) },
  "PL-Alpha-Hill: the exponent, the tail size it was fitted on, (α−1)/√K, and whether rank is missing.",
);
export const SPECTRAL_DOMINANCE = t.object(
  { value: t.number(), stableRank: t.number() },
  "ln of σ₁²/‖W‖² over its Gaussian null (nats); with the stable rank ‖W‖²/σ₁².",
);
export const IMBALANCE = t.object(
  { value: t.amount(), row: t.amount(), column: t.amount(), columnLogSpread: t.amount() },
  "max(row, column) coefficient of variation of the RMS; `columnLogSpread` is MAD of ln column RMS.",
);

const METRICS = t.object({
  alphaHill: t.optional(ALPHA_HILL),
  spectralDominance: t.optional(SPECTRAL_DOMINANCE),
  osqe: t.optional(
    t.object(
      { b2: t.amount(), b3: t.amount(), b4: t.amount(), b6: t.amount() },
      "Relative squared error of scale-optimal quantization in groups of 32.",
    ),
  ),
  imbalance: t.optional(IMBALANCE),
  fragility: t.optional(t.number("ln(OSQE(2)/OSQE(4)), nats.")),
  boundaryDensity: t.optional(t.number("BD*: density near decision thresholds relative to uniform, minus 1.")),
  spectralPosition: t.optional(
    t.number("(1−2u)² of the layer's position in spectral log-gain, 0 mid-network, 1 at the ends."),
  ),
});
export interface Metrics extends t.Content<typeof METRICS> {}

export type MetricName = keyof Metrics;

export const FEEDBACK_MEASURED = t.object(
  { text: t.text("What the inputs were of.") },
  "Whether it is known what error feedback leaves of each distortion.",
);

export const TENSOR_NAME = t.given(t.text("No control characters: names end up in scripts and on terminals."), {
  minLength: 1,
  maxLength: 255,
  pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
});

export const TENSOR_ANALYSIS = t.object({
  name: TENSOR_NAME,
  class: t.text(),
  layer: t.optional(t.count()),
  shape: t.list(t.some(), { minItems: 1, maxItems: 4 }),
  elements: t.bytes(),
  sourceType: TENSOR_TYPE,
  eligible: t.flag(),
  ineligibleReason: t.optional(t.text("Why it keeps its type.")),
  metrics: t.optional(METRICS),
  omitted: t.optional(
    // names of metrics that a later version adds are let through
    t.table<ReturnType<typeof t.text>, MetricName>(t.text(), "Why a metric is absent."),
  ),
  distortion: t.optional(
    t.table(DISTORTION_ESTIMATE, "D of each candidate type (already after row-size fallback).", TENSOR_TYPE_NAMES),
  ),
  importance: t.optional(
    t.oneOf(
      ["used", "missing", "mismatch"],
      "Whether this tensor had importance values, and why not if an imatrix was given.",
    ),
  ),
  powerless: t.optional(t.flag("Every weight is zero (or weighs nothing): D is 0 for every type.")),
  rowsRead: t.optional(t.bytes()),
  rows: t.optional(t.bytes()),
});
export interface TensorAnalysis extends t.Content<typeof TENSOR_ANALYSIS> {}

const CLASS_SUMMARY = t.object(
  {
    class: t.text(),
    tensors: t.count(),
    elements: t.bytes(),
    metrics: t.table<ReturnType<typeof t.number>, SummaryMetric>(t.number()),
  },
  "Element-weighted means of a tensor class.",
);
export interface ClassSummary extends t.Content<typeof CLASS_SUMMARY> {}

export const ANALYSIS = defineDocument({
  id: "prism.analysis/1",
  noun: "an analysis",
  remedy: "make it again with prism analyze",
  description: "What was measured of every tensor of a GGUF model: all that planning needs without the model file.",
  schema: t.object({
    schema: t.exactly("prism.analysis/1"),
    prismVersion: t.text(),
    createdAt: t.text(),
    model: MODEL_IDENTITY,
    facts: MODEL_FACTS,
    engine: t.object({ version: t.text(), origin: t.text() }),
    backend: t.text(),
    imatrix: t.optional(IMATRIX_IDENTITY),
    sampling: t.object({
      exactMetrics: t.flag(),
      exactDistortion: t.flag(),
      seed: t.number(),
      targetRelativeSe: t.amount("Relative standard error of D that sampling stopped at."),
      bytesRead: t.bytes(),
      elapsedMs: t.amount(),
    }),
    feedback: t.optional(FEEDBACK_MEASURED),
    tensors: t.list(TENSOR_ANALYSIS),
    classes: t.list(CLASS_SUMMARY),
  }),
});
export interface Analysis extends t.Content<typeof ANALYSIS.schema> {}
