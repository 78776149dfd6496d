/**
 * The Plan document (`prism.plan/1`): which tensor gets which type and why, what it costs and what it is predicted to
 * lose. JSON a person may edit (`type`) and re-cost.
 */
import { CONSTRAINT, type Constraint } from "../allocate/problem.ts";
import { FEEDBACK_MEASURED, IMATRIX_IDENTITY, MODEL_IDENTITY, TENSOR_NAME } from "../analyze/analysis.ts";
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";
import { MODEL_FACTS } from "../ggml/model-facts.ts";
import { TENSOR_TYPE_NAMES } from "../ggml/tensor-types.ts";
import { FILE_TYPE, TENSOR_TYPE } from "../ggml/type-fields.ts";
import { BUDGET_MEMORY } from "./budget-memory.ts";
import { YIELDING } from "./guards.ts";

export type { Constraint };

/** Tensors in one plan; the largest public models have a few thousand. */
const MAX_TENSORS = 200_000;

const REASON = t.oneOf(
  ["budget", "pin", "floor", "fallback", "tied", "ineligible", "edited", "recipe"],
  "budget: the allocator chose; ineligible: it keeps the type it has; edited: a person changed it.",
);
export type Reason = t.Content<typeof REASON>;

const STEP = t.object(
  { type: TENSOR_TYPE, bytes: t.bytes(), loss: t.amount() },
  "The next larger or smaller type worth having (none of at most its bytes is better): what it costs and brings.",
);
/** One step up or down the tensor's own options. */
export interface Step extends t.Content<typeof STEP> {}

const PLAN_TENSOR = t.object({
  name: TENSOR_NAME,
  class: t.text(),
  layer: t.optional(t.count()),
  shape: t.list(t.some(), { minItems: 1, maxItems: 4 }),
  elements: t.some(),
  sourceType: TENSOR_TYPE,
  type: TENSOR_TYPE,
  bytes: t.bytes("Bytes of the data in `type`, without padding."),
  reason: REASON,
  note: t.optional(t.text("The pin, floor or fallback in words, where there is one.")),
  importance: t.optional(
    t.oneOf(["used", "missing", "mismatch"], "Whether the imatrix had values for it; absent without an imatrix."),
  ),
  sensitivity: t.optional(t.amount()),
  distortion: t.optional(t.amount()),
  lossShare: t.optional(t.amount("sensitivity × distortion ÷ the plan's whole.")),
  options: t.optional(
    t.table(
      t.amount(),
      "Measured D per type that llama-quantize can store it in; constraints may have ruled some out.",
      TENSOR_TYPE_NAMES,
    ),
  ),
  feedback: t.optional(
    t.table(
      t.given(t.amount(), { maximum: 1 }),
      "Part of D that error feedback leaves, per type, where that is not all; the plan counts with it.",
      TENSOR_TYPE_NAMES,
    ),
  ),
  up: t.optional(STEP),
  down: t.optional(STEP),
});
export interface PlanTensor extends t.Content<typeof PLAN_TENSOR> {}

const BUDGET_ASKED = t.object(
  {
    text: t.text('"--bpw 4", "--size 4.3GB", "--like Q3_K_M", "--vram 6GB --ctx 8192".'),
    fileBytes: t.bytes("The limit on the whole file."),
    tensorBytes: t.optional(
      t.bytes("The limit on the data of all tensors without padding, where bits per weight were asked for."),
    ),
    memory: t.optional(BUDGET_MEMORY),
  },
  "What was asked: exactly as the user put it, and what it means.",
);
export interface BudgetAsked extends t.Content<typeof BUDGET_ASKED> {}

export const PLAN = defineDocument({
  id: "prism.plan/1",
  noun: "a plan",
  remedy: "make it again with prism plan",
  description:
    "Which tensor of a GGUF model gets which type. `type` of a tensor may be edited; what follows from it is computed anew when the plan is read.",
  schema: t.object({
    schema: t.exactly("prism.plan/1"),
    prismVersion: t.text(),
    createdAt: t.text(),
    source: MODEL_IDENTITY,
    facts: MODEL_FACTS,
    baseFileType: t.given(
      FILE_TYPE,
      "The preset named on the llama-quantize command line; every eligible tensor is overridden anyway.",
    ),
    imatrix: t.optional(IMATRIX_IDENTITY),
    budget: BUDGET_ASKED,
    mode: t.oneOf(["tensor", "class", "recipe", "edited"]),
    types: t.optional(
      t.list(TENSOR_TYPE, {
        minItems: 1,
        maxItems: TENSOR_TYPE_NAMES.length,
        description: "The only types that could be chosen; absent: every candidate.",
      }),
    ),
    constraints: t.list(CONSTRAINT, { maxItems: MAX_TENSORS }),
    guardsOff: t.optional(
      t.list(t.oneOf(YIELDING), {
        maxItems: YIELDING.length,
        description: "Guards that were switched off; absent where all are on.",
      }),
    ),
    sensitivity: t.object({ mode: t.text(), version: t.text() }),
    feedback: t.optional(
      t.given(FEEDBACK_MEASURED, "The plan counts with what error feedback leaves of D, on inputs of this text."),
    ),
    lossUnit: t.oneOf(
      ["relative", "nats", "drift"],
      "nats or drift (1 − cosine of embeddings) when densities were measured or fitted.",
    ),
    predicted: t.object({
      fileBytes: t.bytes(),
      tensorBytes: t.bytes(),
      bpw: t.amount(),
      loss: t.amount(),
      lowerBound: t.amount(),
      gap: t.amount(),
    }),
    tensors: t.list(PLAN_TENSOR, { minItems: 1, maxItems: MAX_TENSORS }),
    warnings: t.list(t.text(), { maxItems: 1000 }),
  }),
});
export interface Plan extends t.Content<typeof PLAN.schema> {}
