/**
 * Model → Inspection: what the header alone says, as a plain document: identity, tensor classes, the exact size of the
 * file under each stock preset, and findings. Reads no weights.
 */

import { ineligibleReason } from "../ggml/eligibility.ts";
import { bpw, fileBytes } from "../ggml/file-bytes.ts";
import { COMMON_FILE_TYPES, FILE_TYPES, type FileType } from "../ggml/file-types.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { tensorClass } from "../ggml/tensor-class.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { readFacts } from "../gguf/facts.ts";
import type { MetadataValue, Model, TensorInfo } from "../gguf/model.ts";
import { loaderTable } from "../loaders/loader-table.ts";
import { present } from "../present.ts";
import type { Finding } from "./finding-codes.ts";
import { inspectMemory, type MemoryAnswer, type MemoryQuestion } from "./inspect-memory.ts";
import {
  type EngineOpinion,
  type InspectedClass,
  type InspectedPreset,
  type Inspection,
  inspectedFinding,
} from "./inspection.ts";
import { headerFindings } from "./preflight.ts";
import { typesUnderPreset } from "./preset-types.ts";

/** Characters of a metadata text that is still shown; chat templates and licenses are longer. */
const MAX_TEXT = 256;

export interface InspectOptions {
  readonly mends?: boolean;
  readonly engine?: EngineOpinion;
  readonly question?: MemoryQuestion;
}

/**
 * Inspect a model; `findings` default to what its header alone shows. `mends`: prism repair finds something to do in it;
 * `engine`: what llama.cpp says of it; `question`: what memory and contexts are of interest. Throws UsageError for
 * a question that llama.cpp would refuse, and nothing else.
 */
export function inspect(
  model: Model,
  findings: readonly Finding[] = headerFindings(model),
  { mends = false, engine, question = {} }: InspectOptions = {},
): Inspection {
  const facts = readFacts(model);
  const fileTypeId = model.metadata.get("general.file_type");
  const fileType = Object.entries(FILE_TYPES).find(([, { id }]) => id === fileTypeId)?.[0] as FileType | undefined;
  const answer = inspectMemory(model, question);
  const { memory, fits } = typeof answer === "string" ? {} : answer;
  const presets = presetSizes(model, facts, fits);
  return {
    schema: "prism.inspection/1",
    path: model.path,
    shards: model.shards,
    arch: model.arch,
    ...present({ name: model.name }),
    ggufVersion: model.ggufVersion,
    headerHash: model.headerHash,
    tensors: model.tensors.length,
    elements: sum(model.tensors, ({ elements }) => elements),
    fileBytes: sum(model.shards, (shard) => shard.fileBytes),
    tensorBytes: sum(model.tensors, ({ bytes }) => bytes),
    bpw: bpw(model.tensors),
    ...present({ fileType }),
    facts,
    metadata: scalars(model.metadata),
    classes: classesOf(model.tensors),
    presets,
    ...present({ memory, engine }),
    findings: findings.map((finding) => inspectedFinding(finding, mends)),
    tensorsChecked: loaderTable(model.arch) !== undefined,
  };
}

function scalars(metadata: Model["metadata"]): Record<string, string | number | boolean> {
  const shown: [string, string | number | boolean][] = [];
  for (const [key, value] of metadata) {
    const scalar = scalarOf(value);
    if (scalar !== undefined) shown.push([key, scalar]);
  }
  return Object.fromEntries(shown);
}

function scalarOf(value: MetadataValue): string | number | boolean | undefined {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === "string") return value.length <= MAX_TEXT ? value : undefined;
  // JSON has no NaN
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  return typeof value === "boolean" ? value : undefined;
}

function classesOf(tensors: readonly TensorInfo[]): InspectedClass[] {
  const classes = new Map<string, TensorInfo[]>();
  for (const tensor of tensors) {
    const { class: name } = tensorClass(tensor.name);
    classes.set(name, [...(classes.get(name) ?? []), tensor]);
  }
  return [...classes].map(([name, members]) => {
    const reasons = members.map((member) => ineligibleReason(member));
    const reason = reasons.every((why) => why !== undefined) ? reasons[0] : undefined;
    const types: Partial<Record<TensorType, number>> = {};
    for (const { type } of members) types[type] = (types[type] ?? 0) + 1;
    return {
      class: name,
      tensors: members.length,
      elements: sum(members, ({ elements }) => elements),
      bytes: sum(members, ({ bytes }) => bytes),
      types,
      eligible: reason === undefined,
      ...present({ ineligibleReason: reason }),
    };
  });
}

function presetSizes(model: Model, facts: ModelFacts, fits: MemoryAnswer["fits"] | undefined): InspectedPreset[] {
  const sizes = COMMON_FILE_TYPES.flatMap((fileType): InspectedPreset[] => {
    const types = typesUnderPreset(model, facts, fileType);
    if (types === undefined) return [];
    const tensors = model.tensors.map(({ name, shape, type }) => ({ shape, type: types.get(name) ?? type }));
    const size = fileBytes(facts.outputHeaderBytes, tensors);
    return [{ fileType, fileBytes: size, bpw: bpw(tensors), ...present({ memory: fits?.(types) }) }];
  });
  return sizes.sort((a, b) => a.fileBytes - b.fileBytes);
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
