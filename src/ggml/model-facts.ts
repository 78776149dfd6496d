/**
 * The hyperparameters and header sizes that type decisions and file bytes depend on, read once from a Model so that
 * the rules stay pure.
 */

export interface ModelFacts {
  readonly arch: string;
  /** hparams.n_layer_all: block_count, MTP blocks included. */
  readonly layers: number;
  /** Trailing MTP (nextn) blocks among `layers`. */
  readonly nextnLayers: number;
  /** head_count and head_count_kv of layer 0 (per-layer arrays: their first entry). */
  readonly heads: number;
  readonly kvHeads: number;
  readonly experts: number;
  /** Whether the file has output.weight; without it token_embd takes the output's type. */
  readonly hasOutput: boolean;
  /** Rank pooling (a reranker): `<arch>.pooling_type` = 4. */
  readonly rankPooling: boolean;
  readonly alignment: number;
  readonly vocabSize: number;
  readonly contextTrain: number;
  /**
   * Bytes of the header that llama-quantize writes for this model (magic, counts, key-values after its changes, tensor
   * infos), without the final padding and without any quantize.imatrix.* keys.
   */
  readonly outputHeaderBytes: number;
}
