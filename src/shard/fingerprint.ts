/**
 * Whether a file is the model of the campaign, for a node that reads a part of it only: the header, and a piece from the
 * middle of every tensor. Other weights under the same header (a later checkpoint, a finetune) differ in every tensor;
 * damage of single bytes elsewhere is not seen. Of a remote model what its server says of its content.
 */
import { createHash } from "node:crypto";
import { isRemote } from "../bytes/remote-name.ts";
import type { OpenModel } from "../gguf/model.ts";
import { createWorkQueue } from "../work-queue.ts";

const PIECE_BYTES = 4096;
/** Reads at a time: a network file system answers many at once. */
const WIDTH = 16;

export async function fingerprintOf(open: OpenModel, signal: AbortSignal): Promise<string> {
  const { model } = open;
  const hash = createHash("sha256").update(`${model.headerHash}\n${model.shards.map((one) => one.fileBytes).join()}\n`);
  if (isRemote(open.path)) return hash.update(open.revision ?? "").digest("hex");
  const queue = createWorkQueue(WIDTH, signal);
  const pieces = await Promise.all(
    model.tensors.map((tensor) => {
      const bytes = Math.min(PIECE_BYTES, tensor.bytes);
      return queue.run(() => open.read(tensor, Math.floor((tensor.bytes - bytes) / 2), bytes));
    }),
  );
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}
