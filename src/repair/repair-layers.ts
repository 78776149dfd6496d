/**
 * Repairs of the layer count: a block_count that counts MTP layers which the conversion left out, or leaves out layers
 * that are there. Weights are never made up: a count that could mean lost layers is refused.
 */

import { NOT_PER_LAYER } from "../loaders/header-of.ts";
import { takesNextn } from "../loaders/loader-table.ts";
import { checkLoading, type Loading } from "../preflight/loading.ts";
import { dropKey, type RepairDraft, setU32 } from "./repair-draft.ts";

/** Make block_count and nextn_predict_layers what the tensors say. */
export function repairLayers(draft: RepairDraft): void {
  const { model, facts } = draft;
  const present = presentLayers(draft);
  if (present.length === 0) return;
  const found = present.length;
  if (present.some((layer, index) => layer !== index)) {
    refuse(draft, "layers in between have no tensors; convert or download the model again");
  } else if (found < facts.layers) {
    reduceLayers(draft, found);
  } else if (found > facts.layers) {
    extendLayers(draft, found);
  } else if (facts.nextnLayers > 0 && countNextn(draft) === 0) {
    dropKey(draft, `${model.arch}.nextn_predict_layers`);
    draft.changes.push(`dropped ${model.arch}.nextn_predict_layers: no layer has nextn tensors`);
    draft.facts = { ...facts, nextnLayers: 0 };
  }
}

/** What llama.cpp would say of a draft, with the layers that it has by then; undefined where that is not known. */
export function checkDraft({ model, tensors, facts }: RepairDraft): Loading | undefined {
  const { arch, metadata, keyTypes } = model;
  return checkLoading({
    arch,
    metadata,
    keyTypes,
    tensors,
    layers: { count: Math.max(facts.layers, 1), nextn: facts.nextnLayers },
  });
}

function presentLayers({ tensors }: RepairDraft): number[] {
  const layers = new Set<number>();
  for (const { name } of tensors) {
    const layer = /^blk\.(\d{1,9})\./.exec(name)?.[1];
    if (layer !== undefined) layers.add(Number(layer));
  }
  return [...layers].sort((a, b) => a - b);
}

/** Layers at the end that have MTP tensors. */
function countNextn({ tensors }: RepairDraft): number {
  return new Set(tensors.flatMap(({ name }) => /^blk\.(\d+)\.nextn\./.exec(name)?.[1] ?? [])).size;
}

function reduceLayers(draft: RepairDraft, found: number): void {
  const { model, facts } = draft;
  const { arch } = model;
  const excess = facts.layers - found;
  const isNextn = excess <= facts.nextnLayers || (excess === 1 && takesNextn(arch));
  if (!isNextn) {
    refuse(
      draft,
      `${arch}.block_count is ${facts.layers}, but the file has ${found} layers, and nothing says that the rest are MTP layers; convert or download the model again`,
    );
    return;
  }
  setU32(draft, `${arch}.block_count`, found);
  draft.changes.push(
    `${arch}.block_count from ${facts.layers} to ${found}: the MTP layers it counts are not in the file`,
  );
  cutLayerArrays(draft, found);
  const left = Math.max(0, facts.nextnLayers - excess);
  const key = `${arch}.nextn_predict_layers`;
  if (left > 0) {
    setU32(draft, key, left);
    draft.changes.push(`${key} from ${facts.nextnLayers} to ${left}`);
  } else if (dropKey(draft, key)) {
    draft.changes.push(`dropped ${key}`);
  }
  draft.facts = { ...facts, layers: found, nextnLayers: left };
}

/** Hyperparameters may be given per layer; llama.cpp wants exactly one for each. */
function cutLayerArrays(draft: RepairDraft, found: number): void {
  const { model, facts } = draft;
  for (const [key, value] of model.metadata) {
    if (!key.startsWith(`${model.arch}.`) || !Array.isArray(value) || value.length !== facts.layers) continue;
    if (NOT_PER_LAYER.test(key) || value.some((element) => typeof element === "string")) continue;
    draft.keys.set(key, { kind: "cut", elements: found });
    draft.changes.push(`${key} cut to ${found} layers`);
  }
}

function extendLayers(draft: RepairDraft, found: number): void {
  const { model, facts } = draft;
  const { arch } = model;
  const nextn = countNextn(draft);
  const differences = checkDraft({ ...draft, facts: { ...facts, layers: found, nextnLayers: nextn } });
  const lacking =
    differences?.keys.find(({ usable, problem }) => !usable || problem === "absent")?.key ?? differences?.missing[0];
  if (differences === undefined || differences.refusal !== undefined || lacking !== undefined) {
    const known = lacking === undefined ? differences?.refusal : `${lacking} is missing`;
    const why = known ?? `what ${arch} needs is not known here`;
    refuse(
      draft,
      `the file has ${found} layers, ${arch}.block_count ${facts.layers}, but whether all are whole can't be said (${why})`,
    );
    return;
  }
  setU32(draft, `${arch}.block_count`, found);
  draft.changes.push(
    `${arch}.block_count from ${facts.layers} to ${found}: so many layers are in the file, all of them whole`,
  );
  if (nextn > 0 && nextn !== facts.nextnLayers) {
    setU32(draft, `${arch}.nextn_predict_layers`, nextn);
    draft.changes.push(`${arch}.nextn_predict_layers from ${facts.nextnLayers} to ${nextn}`);
  }
  draft.facts = { ...facts, layers: found, nextnLayers: nextn };
}

function refuse(draft: RepairDraft, reason: string): void {
  draft.refusals.push({ reason, blocking: true });
}
