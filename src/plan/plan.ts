/**
 * The Plan document (`prism.plan/1`): which tensor gets which type and why, what it costs and what it is predicted to
 * lose. JSON a person may edit (`type`) and re-cost.
 */
import { CONSTRAINT, type Constraint } from "../allocate/problem.ts";
import { IMATRIX_IDENTITY, MODEL_IDENTITY } from "../analyze/analysis.ts";
import { defineDocument } from "../documents/document-kind.ts";
import {
  amount,
  bytes,
  type Content,
  count,
  exactly,
  given,
  list,
  object,
  oneOf,
  optional,
  some,
  table,
  text,
} from "../documents/fields.ts";
import { MODEL_FACTS } from "../ggml/model-facts.ts";
import { TENSOR_TYPE_NAMES } from "../ggml/tensor-types.ts";
import { FILE_TYPE, TENSOR_TYPE } from "../ggml/type-fields.ts";
import { YIELDING } from "./guards.ts";

export type { Constraint };

/** Tensors in one plan; the largest public models have a few thousand. */
const MAX_TENSORS = 200_000;

const REASON = oneOf(
  ["budget", "pin", "floor", "fallback", "tied", "ineligible", "edited", "recipe"],
  "budget: the allocator chose; ineligible: llama-quantize leaves it alone; edited: a person changed it.",
);
export type Reason = Content<typeof REASON>;

const STEP = object(
  { type: TENSOR_TYPE, bytes: bytes(), loss: amount() },
  {
    description:
      "The next larger or smaller type worth having (none of at most its bytes is better): what it costs and brings.",
  },
);
/** One step up or down the tensor's own options. */
export interface Step extends Content<typeof STEP> {}

const PLAN_TENSOR = object({
  name: given(text("No control characters: names end up in scripts and on terminals."), {
    minLength: 1,
    maxLength: 255,
    pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
  }),
  class: text(),
  layer: optional(count()),
  shape: list(some(), { min: 1, max: 4 }),
  elements: some(),
  sourceType: TENSOR_TYPE,
  type: TENSOR_TYPE,
  bytes: bytes("Bytes of the data in `type`, without padding."),
  reason: REASON,
  note: optional(text("The pin, floor or fallback in words, where there is one.")),
  importance: optional(
    oneOf(["used", "missing", "mismatch"], "Whether the imatrix had values for it; absent without an imatrix."),
  ),
  sensitivity: optional(amount()),
  distortion: optional(amount()),
  lossShare: optional(amount("sensitivity × distortion ÷ the plan's whole.")),
  options: optional(
    table(amount(), {
      names: TENSOR_TYPE_NAMES,
      description: "Measured D per type that llama-quantize can store it in; constraints may have ruled some out.",
    }),
  ),
  up: optional(STEP),
  down: optional(STEP),
});
export interface PlanTensor extends Content<typeof PLAN_TENSOR> {}

const BUDGET_ASKED = object(
  {
    text: text('"--bpw 4", "--size 4.3GB", "--like Q3_K_M".'),
    fileBytes: bytes("The limit on the whole file."),
    tensorBytes: optional(
      bytes("The limit on the data of all tensors without padding, where bits per weight were asked for."),
    ),
  },
  { description: "What was asked: exactly as the user put it, and what it means." },
);
export interface BudgetAsked extends Content<typeof BUDGET_ASKED> {}

export const PLAN = defineDocument({
  id: "prism.plan/1",
  noun: "a plan",
  remedy: "make it again with prism plan",
  description:
    "Which tensor of a GGUF model gets which type. `type` of a tensor may be edited; what follows from it is computed anew when the plan is read.",
  schema: object({
    schema: exactly("prism.plan/1"),
    prismVersion: text(),
    createdAt: text(),
    source: MODEL_IDENTITY,
    facts: MODEL_FACTS,
    baseFileType: given(FILE_TYPE, {
      description: "The preset named on the llama-quantize command line; every eligible tensor is overridden anyway.",
    }),
    imatrix: optional(IMATRIX_IDENTITY),
    budget: BUDGET_ASKED,
    mode: oneOf(["tensor", "class", "recipe", "edited"]),
    constraints: list(CONSTRAINT, { max: MAX_TENSORS }),
    guardsOff: optional(
      list(oneOf(YIELDING), {
        max: YIELDING.length,
        description: "Guards that were switched off; absent where all are on.",
      }),
    ),
    sensitivity: object({ mode: text(), version: text() }),
    lossUnit: oneOf(["relative", "nats"], "nats when densities were measured or fitted."),
    predicted: object({
      fileBytes: bytes(),
      tensorBytes: bytes(),
      bpw: amount(),
      loss: amount(),
      lowerBound: amount(),
      gap: amount(),
    }),
    tensors: list(PLAN_TENSOR, { min: 1, max: MAX_TENSORS }),
    warnings: list(text(), { max: 1000 }),
  }),
});
export interface Plan extends Content<typeof PLAN.schema> {}
