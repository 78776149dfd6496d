/** The Inspection document (`prism.inspection/1`): what the header of a model alone says. */
import { Type } from "@sinclair/typebox";
import { defineDocument } from "../documents/document-kind.ts";
import { ERROR } from "../documents/error-document.ts";
import * as t from "../documents/fields.ts";
import { MODEL_FACTS } from "../ggml/model-facts.ts";
import { TENSOR_TYPE_NAMES } from "../ggml/tensor-types.ts";
import { FILE_TYPE, TENSOR_TYPE } from "../ggml/type-fields.ts";
import { effectOf, FINDING_CODES, type Finding, type FindingCode, isMendable } from "./finding-codes.ts";

const FINDING = t.object({
  code: t.oneOf(Object.keys(FINDING_CODES) as FindingCode[]),
  severity: t.oneOf(
    ["error", "warning", "info"],
    "error: the result would be broken or refused; warning: something later will not work; info: good to know.",
  ),
  // documents of the first release have neither
  effect: t.optional(
    t.oneOf(
      ["refused", "misbehaves", "differs"],
      "refused: llama.cpp does not load the file, or aborts; misbehaves: it does, and something is wrong; differs: it works.",
    ),
  ),
  repairable: t.optional(t.flag("Whether prism repair mends it.")),
  message: t.prose(),
  remedy: t.prose(),
});
export interface InspectedFinding extends t.Content<typeof FINDING> {}

/** A finding as it is shown; `mends`: prism repair finds something to do in the file. */
export function inspectedFinding(finding: Finding, mends: boolean): InspectedFinding {
  const { code, severity, message, remedy } = finding;
  return { code, severity, effect: effectOf(finding), repairable: mends && isMendable(finding), message, remedy };
}

const ENGINE_OPINION = t.object({
  verdict: t.oneOf(["loads", "refuses", "not asked"], "Of the embedded llama.cpp, by the header alone."),
  why: t.optional(t.text("Why it was not asked.")),
});
export interface EngineOpinion extends t.Content<typeof ENGINE_OPINION> {}

const INSPECTED_CLASS = t.object({
  class: t.prose(),
  tensors: t.count(),
  elements: t.bytes(),
  bytes: t.bytes(),
  types: t.table(t.count(), "Tensors per source type.", TENSOR_TYPE_NAMES),
  eligible: t.flag(),
  ineligibleReason: t.optional(t.text("Why the class keeps its type.")),
});
export interface InspectedClass extends t.Content<typeof INSPECTED_CLASS> {}

const INSPECTED_FIT = t.object({
  context: t.some("Tokens."),
  totalBytes: t.bytes("Of a GPU's memory: weights, keys and values, states, computing, a projector and the margin."),
  fits: t.optional(t.flag("Whether that fits the memory that was given.")),
});
export interface InspectedFit extends t.Content<typeof INSPECTED_FIT> {}

/** Contexts that are looked at at once. */
export const MOST_CONTEXTS = 16;
const FITS = t.list(INSPECTED_FIT, { maxItems: MOST_CONTEXTS });

const INSPECTED_CONTEXT = t.object({
  context: t.some("Tokens, of all sequences."),
  kvBytes: t.bytes("Keys and values, as llama.cpp allocates them."),
  stateBytes: t.bytes("States of recurrent layers."),
  computeBytes: t.bytes("An estimate of what computing a batch takes."),
  marginBytes: t.bytes("For the driver, and for how far the estimate is off."),
});
export interface InspectedContext extends t.Content<typeof INSPECTED_CONTEXT> {}

const INSPECTED_MEMORY = t.object(
  {
    vramBytes: t.optional(t.bytes("The memory of a GPU that was given.")),
    projectorBytes: t.optional(
      t.bytes("Of the projector that was given: its weights, and an estimate of what it computes in."),
    ),
    // documents of former releases have neither
    trainedContext: t.optional(t.some("Tokens of one sequence that the header says the model was trained on.")),
    embeddings: t.optional(
      t.oneOf(
        ["RAM", "RAM and GPU"],
        "Where input embeddings are; on the GPU too where the head is tied to them. Absent where there are none.",
      ),
    ),
    sequences: t.some(),
    kvTypes: t.object({ k: TENSOR_TYPE, v: TENSOR_TYPE }),
    contexts: t.list(INSPECTED_CONTEXT, { maxItems: MOST_CONTEXTS }),
    asIs: FITS,
    longestContext: t.optional(
      t.some(
        "Where memory was given: the longest context, up to the longest looked at, at which a plan in the smallest types fits it, or the file itself where that is quantized; absent where none does.",
      ),
    ),
  },
  "What it takes of a GPU's memory with all layers there; absent where the header does not tell.",
);
export interface InspectedMemory extends t.Content<typeof INSPECTED_MEMORY> {}

const INSPECTED_PRESET = t.object({
  fileType: FILE_TYPE,
  fileBytes: t.bytes(),
  bpw: t.amount(),
  memory: t.optional(FITS),
});
export interface InspectedPreset extends t.Content<typeof INSPECTED_PRESET> {}

const INSPECTION_FIELDS = t.object({
  schema: t.exactly("prism.inspection/1"),
  path: t.name(),
  shards: t.list(t.object({ path: t.name(), fileBytes: t.bytes() })),
  arch: t.prose(),
  name: t.optional(t.prose()),
  ggufVersion: t.count(),
  headerHash: t.text(),
  tensors: t.count(),
  elements: t.bytes(),
  fileBytes: t.bytes(),
  tensorBytes: t.bytes(),
  bpw: t.amount(),
  fileType: t.optional(t.given(FILE_TYPE, "What general.file_type says.")),
  facts: MODEL_FACTS,
  metadata: t.table(
    Type.Union([Type.String(), Type.Number(), Type.Boolean()]),
    "The scalars of the header; long texts and arrays are left out. Integers beyond 2^53 are strings.",
  ),
  classes: t.list(INSPECTED_CLASS),
  presets: t.list(
    INSPECTED_PRESET,
    "Smallest first. Without those llama-quantize refuses; none for a file that is no language model.",
  ),
  memory: t.optional(INSPECTED_MEMORY),
  engine: t.optional(ENGINE_OPINION),
  findings: t.list(FINDING),
  tensorsChecked: t.flag("Whether the list of tensors was compared with what the architecture requires."),
});
export interface Inspection extends t.Content<typeof INSPECTION_FIELDS> {}

/** Of a file that can't be opened, findings alone. */
const DAMAGED = t.object({
  schema: t.exactly("prism.inspection/1"),
  path: t.name(),
  findings: t.list(FINDING, { minItems: 1 }),
  // documents of former releases have none
  error: t.optional(ERROR),
});

export const INSPECTION = defineDocument({
  id: "prism.inspection/1",
  noun: "an inspection",
  remedy: "inspect the model again",
  description: "What the header of a GGUF model alone says; of a file that can't be opened, the findings alone.",
  schema: Type.Unsafe<Inspection | t.Content<typeof DAMAGED>>({
    type: "object",
    if: { type: "object", properties: { arch: {} }, required: ["arch"] },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: INSPECTION_FIELDS,
    else: DAMAGED,
  }),
});
