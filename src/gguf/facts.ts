/**
 * The hyperparameters that type decisions depend on, read from a model's metadata as `load_hparams` of
 * src/llama-model.cpp does (llama.cpp v0.5.0). What the file does not say is 0.
 */
import type { EmbeddingPooling, ModelFacts } from "../ggml/model-facts.ts";
import { present } from "../present.ts";
import type { MetadataValue, Model } from "./model.ts";
import { outputHeaderBytes } from "./output-header.ts";

export { type ImatrixKeys, imatrixKeyBytes, outputHeaderBytes } from "./output-header.ts";

/** `enum llama_pooling_type`. */
const RANK_POOLING = 4;
const POOLING_OF_CODE: ReadonlyMap<number, EmbeddingPooling> = new Map([
  [1, "mean"],
  [2, "cls"],
  [3, "last"],
]);

/** Read a model's facts. Never throws: an unknown or absent architecture gives zeros, and the caller decides. */
export function readFacts(model: Model): ModelFacts {
  const hyperparameter = (name: string): MetadataValue | undefined => model.metadata.get(`${model.arch}.${name}`);
  const heads = firstNumber(hyperparameter("attention.head_count")) ?? 0;
  const pooling = firstNumber(hyperparameter("pooling_type"));
  const layers = firstNumber(hyperparameter("block_count")) ?? 0;
  const nextnLayers = firstNumber(hyperparameter("nextn_predict_layers")) ?? 0;
  const loops = firstNumber(hyperparameter("num_loops")) ?? 1;
  const loaded = loadedLayers(model.arch, layers, nextnLayers, loops);
  return {
    arch: model.arch,
    layers,
    ...present({ loadedLayers: loaded === layers ? undefined : loaded }),
    nextnLayers,
    heads,
    // Optional in the format: it defaults to head_count.
    kvHeads: firstNumber(hyperparameter("attention.head_count_kv")) ?? heads,
    experts: firstNumber(hyperparameter("expert_count")) ?? 0,
    hasOutput: model.tensors.some(({ name }) => name === "output.weight"),
    rankPooling: pooling === RANK_POOLING,
    ...present({ embeddingPooling: pooling === undefined ? undefined : POOLING_OF_CODE.get(pooling) }),
    alignment: model.alignment,
    vocabSize: vocabSize(model),
    contextTrain: firstNumber(hyperparameter("context_length")) ?? 0,
    outputHeaderBytes: outputHeaderBytes(model),
  };
}

/** What load_arch_hparams of src/models/*.cpp makes of n_layer_all: two architectures set it anew. */
function loadedLayers(arch: string, layers: number, nextnLayers: number, loops: number): number {
  const trunk = Math.max(0, layers - nextnLayers);
  switch (arch) {
    case "nanbeige":
      // the same blocks are passed several times, and counted as often
      return loops > 1 ? trunk * loops : layers;
    case "graniteswitch":
      // a layer at the end holds the router of the adapters
      return trunk + 1;
    default:
      return layers;
  }
}

function vocabSize(model: Model): number {
  const tokens = model.metadata.get("tokenizer.ggml.tokens");
  if (Array.isArray(tokens) && tokens.length > 0) return tokens.length;
  return model.tensors.find(({ name }) => name === "token_embd.weight")?.shape[1] ?? 0;
}

/** A number, or the first entry of a per-layer array; undefined for anything else. */
function firstNumber(value: MetadataValue | undefined): number | undefined {
  const first = Array.isArray(value) ? value[0] : value;
  return typeof first === "number" || typeof first === "bigint" ? Number(first) : undefined;
}
