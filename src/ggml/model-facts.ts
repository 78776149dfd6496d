/**
 * The hyperparameters and header sizes that type decisions and file bytes depend on, read once from a Model so that
 * the rules stay pure.
 */
import { bytes, type Content, count, flag, given, object, text } from "../documents/fields.ts";

export const MODEL_FACTS = object({
  arch: text(),
  layers: count("hparams.n_layer_all: block_count, MTP blocks included."),
  nextnLayers: count("Trailing MTP (nextn) blocks among `layers`."),
  heads: count("head_count of layer 0 (per-layer arrays: their first entry)."),
  kvHeads: count("head_count_kv of layer 0."),
  experts: count(),
  hasOutput: flag({
    description: "Whether the file has output.weight; without it token_embd takes the output's type.",
  }),
  rankPooling: flag({ description: "Rank pooling (a reranker): `<arch>.pooling_type` = 4." }),
  alignment: given(count(), { minimum: 1 }),
  vocabSize: count(),
  contextTrain: count(),
  outputHeaderBytes: bytes(
    "Bytes of the header that llama-quantize writes for this model (magic, counts, key-values after its changes, tensor infos), without the final padding and without any quantize.imatrix.* keys.",
  ),
});

export interface ModelFacts extends Content<typeof MODEL_FACTS> {}
