/** What an evaluation says of a model file: size, bits per weight, and which model it is. */
import { UsageError } from "../errors.ts";
import { bpw } from "../ggml/file-bytes.ts";
import { readFacts } from "../gguf/facts.ts";
import { fingerprint } from "../gguf/fingerprint.ts";
import type { Model } from "../gguf/model.ts";
import { openLocalModel } from "../gguf/open.ts";

export interface ModelDescription {
  readonly path: string;
  readonly fileBytes: number;
  readonly bpw: number;
  readonly headerHash: string;
  readonly fingerprint: string;
  readonly contextTrain: number;
}

/** Describe a model. Throws UsageError for a projector, which predicts no tokens. */
export async function describeModel(path: string): Promise<ModelDescription> {
  const file = await openLocalModel(path);
  try {
    const { model } = file;
    refuseProjector(model);
    return {
      path,
      fileBytes: model.shards.reduce((sum, shard) => sum + shard.fileBytes, 0),
      bpw: bpw(model.tensors),
      headerHash: model.headerHash,
      fingerprint: await fingerprint(file),
      contextTrain: readFacts(model).contextTrain,
    };
  } finally {
    await file.close();
  }
}

/** Throws UsageError for a projector. */
export function refuseProjector({ arch, path }: Model): void {
  if (arch !== "clip") return;
  throw new UsageError(
    `${path} is a multimodal projector (architecture clip), expected a language model; evaluate the one it belongs to`,
  );
}
