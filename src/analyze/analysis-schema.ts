/** The JSON schema of the Analysis document, as far as later stages rely on it; what is added later passes. */
import { TENSOR_TYPE_NAMES } from "../ggml/tensor-types.ts";
import { ANALYSIS_SCHEMA } from "./analysis.ts";

const text = { type: "string" } as const;
const count = { type: "integer", minimum: 0 } as const;
const amount = { type: "number", minimum: 0 } as const;
const number = { type: "number" } as const;
const flag = { type: "boolean" } as const;
const tensorType = { enum: TENSOR_TYPE_NAMES } as const;

function object(required: Record<string, object>, optional: Record<string, object> = {}): object {
  return { type: "object", required: Object.keys(required), properties: { ...required, ...optional } };
}

const facts = object({
  arch: text,
  layers: count,
  nextnLayers: count,
  heads: count,
  kvHeads: count,
  experts: count,
  hasOutput: flag,
  rankPooling: flag,
  alignment: count,
  vocabSize: count,
  contextTrain: count,
  outputHeaderBytes: count,
});

const model = object(
  {
    path: text,
    shards: { type: "array", items: text, minItems: 1 },
    arch: text,
    tensorCount: count,
    elements: count,
    fileBytes: count,
    headerHash: text,
  },
  { name: text },
);

const metrics = object(
  {},
  {
    alphaHill: object({ value: number, tail: number, se: number }),
    spectralDominance: object({ value: number, stableRank: number }),
    osqe: object({ b2: amount, b3: amount, b4: amount, b6: amount }),
    imbalance: object({ value: amount, row: amount, column: amount, columnLogSpread: amount }),
    fragility: number,
    boundaryDensity: number,
    spectralPosition: number,
  },
);

const tensor = object(
  {
    name: { type: "string", minLength: 1 },
    class: text,
    shape: { type: "array", items: { type: "integer", minimum: 1 }, minItems: 1, maxItems: 4 },
    elements: count,
    sourceType: tensorType,
    eligible: flag,
  },
  {
    layer: count,
    ineligibleReason: text,
    metrics,
    omitted: { type: "object", additionalProperties: text },
    distortion: {
      type: "object",
      propertyNames: tensorType,
      additionalProperties: object({ value: amount, se: amount }, { ratioTo: tensorType, dominatedBy: tensorType }),
    },
    importance: { enum: ["used", "missing", "mismatch"] },
    powerless: flag,
    rowsRead: count,
    rows: count,
  },
);

export const ANALYSIS_JSON_SCHEMA: object = object(
  {
    schema: { const: ANALYSIS_SCHEMA },
    prismVersion: text,
    createdAt: text,
    model,
    facts,
    engine: object({ version: text, origin: text }),
    backend: text,
    sampling: object({
      exactMetrics: flag,
      exactDistortion: flag,
      seed: number,
      targetRelativeSe: amount,
      bytesRead: count,
      elapsedMs: amount,
    }),
    tensors: { type: "array", items: tensor },
    classes: {
      type: "array",
      items: object({
        class: text,
        tensors: count,
        elements: count,
        metrics: { type: "object", additionalProperties: number },
      }),
    },
  },
  {
    imatrix: object(
      { path: text, sha256: text, file: text, dataset: text, entries: count, chunks: count },
      { unseenExperts: { type: "array", items: object({ class: text, experts: count, unseen: count }) } },
    ),
  },
);
