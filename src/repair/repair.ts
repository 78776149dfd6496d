/**
 * Model → RepairPlan → file: corrects what a conversion got wrong about a model, and touches nothing else. Keys that stay
 * are copied as their raw bytes, and tensors' data as it is; a model with nothing to correct has an empty plan.
 */
import { readFacts } from "../gguf/facts.ts";
import type { Model } from "../gguf/model.ts";
import { DEFAULT_ALIGNMENT } from "../gguf/value-types.ts";
import { POOLING_NAMES, poolingFindings } from "../preflight/pooling-findings.ts";
import { mendedTypes, normalSpecials } from "../preflight/prompt-findings.ts";
import { PRISM_VERSION } from "../version.ts";
import {
  type KeyChange,
  openDraft,
  type Refusal,
  type RepairDraft,
  type RepairedTensor,
  setString,
  setStrings,
  setU32,
} from "./repair-draft.ts";
import { repairKeys } from "./repair-keys.ts";
import { checkDraft, repairLayers } from "./repair-layers.ts";
import { repairRank } from "./repair-rank.ts";
import { repairTokenizer } from "./repair-tokenizer.ts";

export interface RepairPlan {
  /** What is done, in words; empty: nothing to repair. */
  readonly changes: readonly string[];
  /** What is not, and why. */
  readonly refusals: readonly Refusal[];
  readonly keys: ReadonlyMap<string, KeyChange>;
  /** In the order of the new file. */
  readonly tensors: readonly RepairedTensor[];
}

/** Names of Hugging Face checkpoints that conversions left in place, by what llama.cpp calls them (gguf-py/tensor_mapping.py). */
const NAMES: Readonly<Record<string, string>> = {
  "model.embed_tokens.weight": "token_embd.weight",
  "model.norm.weight": "output_norm.weight",
  "lm_head.weight": "output.weight",
  "score.weight": "cls.output.weight",
};

/** Names in a refusal; a list of all would not be read. */
const NAMED_TENSORS = 6;

const SPLIT_KEYS = ["split.no", "split.count", "split.tensors.count"];

/** Plan the repair of a model. Never throws: what can't be repaired is among the refusals. */
export function planRepair(model: Model): RepairPlan {
  const draft = openDraft(model, readFacts(model));
  if (model.arch === "" || model.arch === "clip") return draft;
  if (model.alignment !== DEFAULT_ALIGNMENT) {
    setU32(draft, "general.alignment", DEFAULT_ALIGNMENT);
    draft.changes.push(`general.alignment from ${model.alignment} to ${DEFAULT_ALIGNMENT}, and the data with it`);
  }
  repairLayers(draft);
  repairKeys(draft);
  repairNames(draft);
  repairPooling(draft);
  // before what sets some of these keys to other values
  repairTokenizer(draft);
  repairRank(draft);
  repairTokens(draft);
  if (draft.changes.length > 0) recordRepair(draft);
  return draft;
}

/** Store the pooling as llama.cpp reads it. */
function repairPooling(draft: RepairDraft): void {
  const { model } = draft;
  if (poolingFindings(model).length === 0) return;
  const key = `${model.arch}.pooling_type`;
  const value = model.metadata.get(key);
  const type = typeof value === "string" ? POOLING_NAMES.indexOf(value.toLowerCase()) : Number(value);
  if (POOLING_NAMES[type] === undefined) {
    const reason = `${key} is ${JSON.stringify(String(value))}, which no pooling of llama.cpp is; convert the model again`;
    draft.refusals.push({ reason, blocking: true });
    return;
  }
  setU32(draft, key, type);
  draft.changes.push(`${key} = ${type} (${POOLING_NAMES[type]}) as u32`);
}

/** Type special tokens as such. */
function repairTokens(draft: RepairDraft): void {
  const ids = normalSpecials(draft.model);
  if (ids.length === 0) return;
  const key = "tokenizer.ggml.token_type";
  draft.keys.set(key, { kind: "set", keyValue: { key, type: { array: "i32" }, value: mendedTypes(draft.model, ids) } });
  draft.changes.push(`${ids.length} special ${ids.length === 1 ? "token" : "tokens"} typed as control`);
}

/** Rename or drop the tensors that llama.cpp would refuse the file for. */
function repairNames(draft: RepairDraft): void {
  const { arch } = draft.model;
  const names = draft.tensors.map(({ name }) => name);
  // the rank head of an architecture without one is repairRank's, and layers too many are repairLayers'
  const isBeyond = (name: string) => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1) >= draft.facts.layers;
  const extra = new Set(checkDraft(draft)?.extra.filter((name) => !name.startsWith("cls.") && !isBeyond(name)));
  draft.tensors = draft.tensors.flatMap((tensor) => {
    if (!extra.has(tensor.name)) return [tensor];
    const name = Object.hasOwn(NAMES, tensor.name) ? NAMES[tensor.name] : undefined;
    if (name !== undefined && !names.includes(name)) {
      draft.changes.push(`${tensor.name} renamed to ${name}`);
      return [{ ...tensor, name }];
    }
    draft.changes.push(`dropped ${tensor.name}: ${arch} has no such tensor`);
    return [];
  });
  const lacking = checkDraft(draft)?.missing ?? [];
  if (lacking.length > 0) {
    const shown = lacking.slice(0, NAMED_TENSORS).join(", ");
    draft.refusals.push({ reason: `${arch} requires ${shown}; convert the model again`, blocking: true });
  }
}

/** Say in the file itself what was done to it. */
function recordRepair(draft: RepairDraft): void {
  const { model } = draft;
  if (model.shards.length > 1) {
    for (const key of SPLIT_KEYS) draft.keys.set(key, { kind: "drop" });
    draft.changes.push(`${model.shards.length} shards joined into one file`);
  }
  setString(draft, "prism.repair.version", PRISM_VERSION);
  setString(draft, "prism.repair.source_header", model.headerHash);
  setStrings(draft, "prism.repair.changes", [...draft.changes]);
}
