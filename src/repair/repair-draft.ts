/** A repair as data: what happens to a model's keys and tensors, in which order, and why. */
import type { ModelFacts } from "../ggml/model-facts.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { NewKeyValue } from "../gguf/header-bytes.ts";
import type { Model, TensorInfo } from "../gguf/model.ts";

/** What happens to a key: replaced in its place (or added at the end), dropped, or an array cut to its first elements. */
export type KeyChange =
  | { readonly kind: "set"; readonly keyValue: NewKeyValue }
  | { readonly kind: "drop" }
  | { readonly kind: "cut"; readonly elements: number };

export interface RepairedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: TensorType;
  /** Where its data is. */
  readonly from: TensorInfo;
  /** These rows of `from` instead of all; a BF16 row becomes F32. */
  readonly rows?: readonly number[];
}

export interface Refusal {
  readonly reason: string;
  /** The model stays broken without it. */
  readonly blocking: boolean;
}

export interface RepairDraft {
  readonly model: Model;
  readonly keys: Map<string, KeyChange>;
  tensors: RepairedTensor[];
  /** In words, in order. */
  readonly changes: string[];
  readonly refusals: Refusal[];
  /** Layers and MTP layers as they will be. */
  facts: ModelFacts;
}

export function openDraft(model: Model, facts: ModelFacts): RepairDraft {
  const tensors = model.tensors.map(
    (from): RepairedTensor => ({ name: from.name, shape: from.shape, type: from.type, from }),
  );
  return { model, keys: new Map(), tensors, changes: [], refusals: [], facts };
}

export function setU32(draft: RepairDraft, key: string, value: number): void {
  draft.keys.set(key, { kind: "set", keyValue: { key, type: "u32", value } });
}

export function setString(draft: RepairDraft, key: string, value: string): void {
  draft.keys.set(key, { kind: "set", keyValue: { key, type: "string", value } });
}

export function setStrings(draft: RepairDraft, key: string, value: readonly string[]): void {
  draft.keys.set(key, { kind: "set", keyValue: { key, type: { array: "string" }, value } });
}

/** Drop a key where it is; false where it is not. */
export function dropKey(draft: RepairDraft, key: string): boolean {
  if (!draft.model.metadata.has(key)) return false;
  draft.keys.set(key, { kind: "drop" });
  return true;
}
