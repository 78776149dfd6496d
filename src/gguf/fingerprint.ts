/**
 * Which model this is, by content and cheaply: caches are keyed by it. The header alone does not tell two finetunes of
 * one model apart, and hashing 700 GB takes an hour, so blocks of the data spread over every shard are hashed with it.
 */
import { createHash } from "node:crypto";
import type { ModelFile } from "./model.ts";

/** Blocks of data hashed, spread evenly over the tensors, and their length. */
const BLOCKS = 256;
const BLOCK_BYTES = 4096;

/** SHA-256 (hex) over the header hash, the file sizes and up to 1 MiB of the data. */
export async function fingerprint(file: ModelFile): Promise<string> {
  const { model } = file;
  const hash = createHash("sha256").update(model.headerHash);
  for (const shard of model.shards) hash.update(`;${shard.fileBytes}`);
  const withData = model.tensors.filter((tensor) => tensor.bytes > 0);
  const step = Math.max(1, withData.length / BLOCKS);
  const perTensor = Math.max(1, Math.floor(BLOCKS / Math.max(1, withData.length)));
  for (let i = 0; i < withData.length; i += step) {
    const tensor = withData[Math.floor(i)];
    if (tensor === undefined) continue;
    for (let block = 0; block < perTensor; block++) {
      const start = Math.floor(((tensor.bytes - 1) * (block + 0.5)) / perTensor);
      hash.update(await file.read(tensor, start, Math.min(BLOCK_BYTES, tensor.bytes - start)));
    }
  }
  return hash.digest("hex");
}
