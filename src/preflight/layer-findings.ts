/** Findings about layers: `<arch>.block_count` and the MTP (nextn) layers in it against the `blk.N` that are there. */
import type { ModelFacts } from "../ggml/model-facts.ts";
import type { Model } from "../gguf/model.ts";
import { MAX_LAYERS } from "../loaders/hyperparameters.ts";
import type { Finding } from "./finding-codes.ts";

/** Layer numbers named in a message; more are summed up. */
const NAMED_LAYERS = 8;

/** Compare the layers a header promises with those that have tensors. */
export function layerFindings(model: Model, facts: ModelFacts): Finding[] {
  const present = new Set<number>();
  for (const { name } of model.tensors) {
    const layer = /^blk\.(\d+)\./.exec(name)?.[1];
    if (layer !== undefined) present.add(Number(layer));
  }
  // Encoder-decoders number enc.blk.N and dec.blk.N instead, and a decoder of audio posnet.N and convnext.N.
  if (present.size === 0 && model.tensors.some(({ name }) => /^((enc|dec)\.blk|posnet|convnext)\./.test(name)))
    return [];

  const last = [...present].reduce((highest, layer) => Math.max(highest, layer), -1);
  const count = facts.layers;
  if (last + 1 > count) return [tooManyLayers(model.arch, last, count)];
  const firstNextn = count - facts.nextnLayers;
  const missing = Array.from({ length: Math.min(count, MAX_LAYERS) }, (_, layer) => layer).filter(
    (layer) => !present.has(layer),
  );
  if (missing.length === 0) return count > MAX_LAYERS ? [missingLayers(model.arch, last, count)] : [];
  if (facts.nextnLayers > 0 && missing.every((layer) => layer >= firstNextn)) {
    return [
      {
        code: "nextn-layers-missing",
        severity: "error",
        message: `${model.arch}.block_count ${count} includes ${facts.nextnLayers} MTP layer(s), but ${named(missing)} ${missing.length === 1 ? "has" : "have"} no tensors`,
        remedy: `prism repair sets block_count to ${firstNextn} and drops nextn_predict_layers; or convert again with the MTP layers`,
      },
    ];
  }
  // Layers without attention and without a feed-forward net exist in this architecture (src/models/deci.cpp).
  if (model.arch === "deci" && (missing[0] ?? 0) < last) return [];
  return missing[0] === last + 1
    ? [missingLayers(model.arch, last, count)]
    : [
        {
          code: "layer-gap",
          severity: "error",
          message: `${named(missing)} of ${count} layers ${missing.length === 1 ? "has" : "have"} no tensors`,
          remedy: "a shard or a part of the conversion is missing; convert or download the model again",
        },
      ];
}

function tooManyLayers(arch: string, last: number, count: number): Finding {
  return {
    code: "block-count-mismatch",
    severity: "error",
    message: `the file has layers up to blk.${last}, but ${arch}.block_count is ${count === 0 ? "missing or 0" : count}`,
    remedy: `prism repair sets ${arch}.block_count to ${last + 1} where all of the layers are whole; or convert the model again`,
  };
}

function missingLayers(arch: string, last: number, count: number): Finding {
  return {
    code: "block-count-mismatch",
    severity: "error",
    message: `${arch}.block_count is ${count}, but the file has ${last < 0 ? "no layers" : `layers up to blk.${last} only`}`,
    remedy: "convert or download the model again; where only the count is wrong, set it right",
  };
}

function named(layers: readonly number[]): string {
  const shown = layers.slice(0, NAMED_LAYERS).map((layer) => `blk.${layer}`);
  const rest = layers.length - shown.length;
  return rest > 0 ? `${shown.join(", ")} and ${rest} more` : shown.join(", ");
}
