/**
 * The hyperparameters and header sizes that type decisions and file bytes depend on, read once from a Model so that
 * the rules stay pure.
 */
import * as t from "../documents/fields.ts";

/** How hidden states become an embedding: their mean, that of the first token, or that of the last. */
export const EMBEDDING_POOLINGS = ["mean", "cls", "last"] as const;
export type EmbeddingPooling = (typeof EMBEDDING_POOLINGS)[number];

export const MODEL_FACTS = t.object({
  arch: t.text(),
  layers: t.count("block_count: the blocks of the file, MTP blocks included."),
  loadedLayers: t.optional(
    t.count(
      "hparams.n_layer_all where llama.cpp's loader makes it another number than `layers`: what presets count by.",
    ),
  ),
  nextnLayers: t.count("Trailing MTP (nextn) blocks among `layers`."),
  heads: t.count("head_count of layer 0 (per-layer arrays: their first entry)."),
  kvHeads: t.count("head_count_kv of layer 0."),
  experts: t.count(),
  hasOutput: t.flag("Whether the file has output.weight; without it token_embd takes the output's type."),
  rankPooling: t.flag("Rank pooling (a reranker): `<arch>.pooling_type` = 4."),
  embeddingPooling: t.optional(
    t.oneOf(
      EMBEDDING_POOLINGS,
      "How hidden states become the embedding of a text: `<arch>.pooling_type`; absent of models that give none.",
    ),
  ),
  alignment: t.given(t.count(), { minimum: 1 }),
  vocabSize: t.count(),
  contextTrain: t.count(),
  outputHeaderBytes: t.bytes(
    "Bytes of the header that llama-quantize writes for this model (magic, counts, key-values after its changes, tensor infos), without the final padding and without any quantize.imatrix.* keys.",
  ),
});

export interface ModelFacts extends t.Content<typeof MODEL_FACTS> {}

/** Architectures that embed or encode, and make no tokens. */
const ENCODERS = /bert|^t5encoder$|embed/;

export function isEncoder(arch: string): boolean {
  return ENCODERS.test(arch);
}

/** Whether hidden states are what the model is for, not logits: then no tensor is a head of a language model. */
export function givesHiddenStates({
  arch,
  rankPooling,
  embeddingPooling,
}: Pick<ModelFacts, "arch" | "rankPooling" | "embeddingPooling">): boolean {
  return rankPooling || embeddingPooling !== undefined || isEncoder(arch);
}
