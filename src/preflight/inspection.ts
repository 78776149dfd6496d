/** The Inspection document (`prism.inspection/1`): what the header of a model alone says. */
import { Type } from "@sinclair/typebox";
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
  object,
  oneOf,
  optional,
  prose,
  table,
  text,
} from "../documents/fields.ts";
import { MODEL_FACTS } from "../ggml/model-facts.ts";
import { TENSOR_TYPE_NAMES } from "../ggml/tensor-types.ts";
import { FILE_TYPE } from "../ggml/type-fields.ts";
import { FINDING_CODES, type FindingCode } from "./finding-codes.ts";

const FINDING = object({
  code: oneOf(Object.keys(FINDING_CODES) as FindingCode[]),
  severity: oneOf(
    ["error", "warning", "info"],
    "error: the result would be broken or refused; warning: something later will not work; info: good to know.",
  ),
  message: prose(),
  remedy: prose(),
});

const INSPECTED_CLASS = object({
  class: prose(),
  tensors: count(),
  elements: bytes(),
  bytes: bytes(),
  types: table(count(), { names: TENSOR_TYPE_NAMES, description: "Tensors per source type." }),
  eligible: flag(),
  ineligibleReason: optional(text("Why llama-quantize leaves the class alone.")),
});
export interface InspectedClass extends Content<typeof INSPECTED_CLASS> {}

const INSPECTED_PRESET = object({ fileType: FILE_TYPE, fileBytes: bytes(), bpw: amount() });
export interface InspectedPreset extends Content<typeof INSPECTED_PRESET> {}

const INSPECTION_FIELDS = object({
  schema: exactly("prism.inspection/1"),
  path: name(),
  shards: list(object({ path: name(), fileBytes: bytes() })),
  arch: prose(),
  name: optional(prose()),
  ggufVersion: count(),
  headerHash: text(),
  tensors: count(),
  elements: bytes(),
  fileBytes: bytes(),
  tensorBytes: bytes(),
  bpw: amount(),
  fileType: optional(given(FILE_TYPE, { description: "What general.file_type says." })),
  facts: MODEL_FACTS,
  metadata: table(Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
    description: "The scalars of the header; long texts and arrays are left out. Integers beyond 2^53 are strings.",
  }),
  classes: list(INSPECTED_CLASS),
  presets: list(INSPECTED_PRESET, {
    description: "Smallest first. Without those llama-quantize refuses; none for a file that is no language model.",
  }),
  findings: list(FINDING),
  tensorsChecked: flag({
    description: "Whether the list of tensors was compared with what the architecture requires.",
  }),
});
export interface Inspection extends Content<typeof INSPECTION_FIELDS> {}

/** Of a file that can't be opened, findings alone. */
const DAMAGED = object({ schema: exactly("prism.inspection/1"), path: name(), findings: list(FINDING, { min: 1 }) });

export const INSPECTION = defineDocument({
  id: "prism.inspection/1",
  noun: "an inspection",
  remedy: "inspect the model again",
  description: "What the header of a GGUF model alone says; of a file that can't be opened, the findings alone.",
  schema: Type.Unsafe<Inspection | Content<typeof DAMAGED>>({
    type: "object",
    if: { type: "object", properties: { arch: {} }, required: ["arch"] },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: INSPECTION_FIELDS,
    else: DAMAGED,
  }),
});
