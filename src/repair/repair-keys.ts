/**
 * Repairs of hyperparameters: the same values, stored as llama.cpp reads them; lists of another length than the layers,
 * made anew where the tensors tell each value; and the file type.
 */
import { FILE_TYPES } from "../ggml/file-types.ts";
import type { NewKeyValue } from "../gguf/header-bytes.ts";
import type { KeyFault } from "../loaders/key-faults.ts";
import { guessFileType, lacksFileType } from "../preflight/file-type-findings.ts";
import { storedAs, storedAsList } from "../preflight/stored-as.ts";
import { hasOwnFinding } from "../preflight/tensor-findings.ts";
import type { RepairDraft } from "./repair-draft.ts";
import { checkDraft } from "./repair-layers.ts";

const FILE_TYPE_KEY = "general.file_type";

export function repairKeys(draft: RepairDraft): void {
  for (const fault of checkDraft(draft)?.keys ?? []) {
    if (fault.problem === "absent" || draft.keys.has(fault.key) || hasOwnFinding(fault, draft.model)) continue;
    const mended = mend(draft, fault);
    if (mended === undefined) {
      const { key, got, expected } = fault;
      draft.refusals.push({
        reason: `${key} is ${got}, expected ${expected}; convert the model again`,
        blocking: true,
      });
      continue;
    }
    draft.keys.set(fault.key, { kind: "set", keyValue: mended });
    draft.changes.push(`${fault.key} as ${describe(mended)}`);
  }
  if (!lacksFileType(draft.model)) return;
  const guess = guessFileType(draft.model);
  if (guess === undefined) return;
  const { id } = FILE_TYPES[guess];
  draft.keys.set(FILE_TYPE_KEY, { kind: "set", keyValue: { key: FILE_TYPE_KEY, type: "u32", value: id } });
  draft.changes.push(`${FILE_TYPE_KEY} = ${id} (${guess}), the type of most of its weights`);
}

function mend(draft: RepairDraft, { key, problem, asked }: KeyFault): NewKeyValue | undefined {
  const value = draft.model.metadata.get(key);
  if (problem === "length") return listOfLayers(draft, key);
  if (key === FILE_TYPE_KEY && typeof value === "string") return fileTypeNamed(value);
  if (value === undefined) return undefined;
  return Array.isArray(value) ? storedAsList(key, value, asked === "f32" ? "f32" : "i32") : storedAs(key, value, asked);
}

/** "Q4_K_M", "MOSTLY_Q4_K_M" and "17" name one file type. */
function fileTypeNamed(name: string): NewKeyValue | undefined {
  const known = Object.entries(FILE_TYPES).find(
    ([type, { id }]) =>
      name.toUpperCase().replace(/^(LLAMA_FTYPE_)?(MOSTLY_|ALL_)?/, "") === type || name === String(id),
  );
  return known === undefined ? undefined : { key: FILE_TYPE_KEY, type: "u32", value: known[1].id };
}

/** Lists whose values are sizes of tensors: the tensor's name in a layer, and which of its dimensions. */
const SIZES: Readonly<
  Record<string, { readonly tensor: string; readonly dimension: number; readonly perHead?: string }>
> = {
  // of ffn_up some architectures have the gate in it
  feed_forward_length: { tensor: "ffn_down.weight", dimension: 0 },
  "attention.head_count": { tensor: "attn_q.weight", dimension: 1, perHead: "attention.key_length" },
  "attention.head_count_kv": { tensor: "attn_k.weight", dimension: 1, perHead: "attention.key_length" },
};

function listOfLayers({ model, tensors, facts }: RepairDraft, key: string): NewKeyValue | undefined {
  const size = SIZES[key.slice(model.arch.length + 1)];
  if (size === undefined) return undefined;
  // without the size of a head, heads can't be counted
  const width = size.perHead === undefined ? 1 : Number(model.metadata.get(`${model.arch}.${size.perHead}`) ?? 0);
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  const values = Array.from({ length: facts.layers }, (_, layer) => {
    const rows = shapes.get(`blk.${layer}.${size.tensor}`)?.[size.dimension];
    return rows === undefined ? Number.NaN : rows / width;
  });
  return values.every(Number.isInteger) ? { key, type: { array: "u32" }, value: values } : undefined;
}

function describe({ type, value }: NewKeyValue): string {
  if (typeof type === "string") return `${type}: ${value}`;
  return `array of ${type.array}: ${(value as readonly unknown[]).join(", ")}`;
}
