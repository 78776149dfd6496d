/** JSON Schema (draft-07) of a Plan document; plans/plan.schema.json is this, written by plans/make-schema.ts. */
import { FILE_TYPE_NAMES } from "../ggml/file-types.ts";
import { TENSOR_TYPE_NAMES } from "../ggml/tensor-types.ts";
import { YIELDING } from "./guards.ts";
import { PLAN_SCHEMA } from "./plan.ts";

/** Tensors in one plan; the largest public models have a few thousand. */
const MAX_TENSORS = 200_000;
/** Characters of a regular expression or a note. */
const MAX_TEXT = 4096;

const text = { type: "string", maxLength: MAX_TEXT };
const path = { type: "string", minLength: 1, maxLength: MAX_TEXT };
const bytes = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const count = { type: "integer", minimum: 0, maximum: 2 ** 32 };
const amount = { type: "number", minimum: 0 };
const tensorType = { enum: TENSOR_TYPE_NAMES };
const fileType = { enum: FILE_TYPE_NAMES };

const object = (properties: Record<string, unknown>, required: readonly string[] = Object.keys(properties)) => ({
  type: "object",
  properties,
  required,
});

const step = object({ type: tensorType, bytes, loss: amount });

const model = object(
  {
    path,
    shards: { type: "array", items: path, maxItems: 65_536 },
    arch: text,
    name: text,
    tensorCount: count,
    elements: bytes,
    fileBytes: bytes,
    headerHash: { type: "string", maxLength: 128 },
  },
  ["path", "shards", "arch", "tensorCount", "elements", "fileBytes", "headerHash"],
);

const facts = object({
  arch: text,
  layers: count,
  nextnLayers: count,
  heads: count,
  kvHeads: count,
  experts: count,
  hasOutput: { type: "boolean" },
  rankPooling: { type: "boolean" },
  alignment: { type: "integer", minimum: 1, maximum: 2 ** 31 },
  vocabSize: count,
  contextTrain: count,
  outputHeaderBytes: bytes,
});

const unseenExperts = { type: "array", items: object({ class: text, experts: count, unseen: count }), maxItems: 1024 };
const imatrix = object(
  { path, sha256: text, file: path, dataset: text, entries: count, chunks: count, unseenExperts },
  ["path", "sha256", "file", "dataset", "entries", "chunks"],
);

const tensor = object(
  {
    // no control characters: names end up in scripts and on terminals
    name: { type: "string", minLength: 1, maxLength: 255, pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]+$" },
    class: text,
    layer: count,
    shape: { type: "array", items: { ...bytes, minimum: 1 }, minItems: 1, maxItems: 4 },
    elements: { ...bytes, minimum: 1 },
    sourceType: tensorType,
    type: tensorType,
    bytes,
    reason: { enum: ["budget", "pin", "floor", "fallback", "tied", "ineligible", "edited", "recipe"] },
    note: text,
    importance: { enum: ["used", "missing", "mismatch"] },
    sensitivity: amount,
    distortion: amount,
    lossShare: amount,
    options: { type: "object", propertyNames: tensorType, additionalProperties: amount },
    up: step,
    down: step,
  },
  ["name", "class", "shape", "elements", "sourceType", "type", "bytes", "reason"],
);

const constraint = object(
  {
    kind: { enum: ["pin", "floor", "ban", "tie"] },
    pattern: text,
    type: tensorType,
    builtIn: { type: "boolean" },
  },
  ["kind", "pattern"],
);

export const PLAN_JSON_SCHEMA = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "PRISM plan",
  description:
    "Which tensor of a GGUF model gets which type. `type` of a tensor may be edited; what follows from it is computed anew when the plan is read.",
  ...object(
    {
      schema: { const: PLAN_SCHEMA },
      prismVersion: text,
      createdAt: text,
      source: model,
      facts,
      baseFileType: fileType,
      imatrix,
      budget: object({ text, fileBytes: bytes, tensorBytes: bytes }, ["text", "fileBytes"]),
      mode: { enum: ["tensor", "class", "recipe", "edited"] },
      constraints: { type: "array", items: constraint, maxItems: MAX_TENSORS },
      guardsOff: { type: "array", items: { enum: [...YIELDING] }, maxItems: YIELDING.length },
      sensitivity: object({ mode: text, version: text }),
      lossUnit: { enum: ["relative", "nats"] },
      predicted: object({
        fileBytes: bytes,
        tensorBytes: bytes,
        bpw: amount,
        loss: amount,
        lowerBound: amount,
        gap: amount,
      }),
      tensors: { type: "array", items: tensor, minItems: 1, maxItems: MAX_TENSORS },
      warnings: { type: "array", items: text, maxItems: 1000 },
    },
    [
      ...["schema", "prismVersion", "createdAt", "source", "facts", "baseFileType", "budget", "mode", "constraints"],
      ...["sensitivity", "lossUnit", "predicted", "tensors", "warnings"],
    ],
  ),
};
