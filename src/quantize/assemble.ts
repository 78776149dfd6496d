/**
 * A quantized file from the data of its tensors, which may have been made anywhere: header and order are llama-quantize's, so
 * that the file is the one it writes, to the byte.
 */
import { openSource } from "../bytes/open-source.ts";
import { readAhead } from "../bytes/read-ahead.ts";
import { dimensionCount } from "../ggml/convertible.ts";
import { OUTPUT_ALIGNMENT_BYTES } from "../ggml/file-bytes.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { OpenModel, TensorInfo } from "../gguf/model.ts";
import { quantizedKeys } from "../gguf/quantized-header.ts";
import { type StreamedTensor, writeGgufAt } from "../gguf/writer.ts";
import type { QuantizeSpec } from "./quantize.ts";
import { asLoaded } from "./split-file.ts";

/** The data of a tensor in its type, in pieces. */
export type TensorData = (tensor: TensorInfo, type: TensorType) => AsyncIterable<Uint8Array>;

/** llama-quantize writes this version whatever the source has. */
const GGUF_VERSION = 3;

/** The specification of a file that is written from the data of its tensors, and verified as any. */
export function assembledSpec(source: OpenModel, spec: QuantizeSpec, data: TensorData): QuantizeSpec {
  return { ...spec, write: (aside) => assemble(source, spec, data, aside) };
}

async function assemble(source: OpenModel, spec: QuantizeSpec, data: TensorData, aside: string): Promise<void> {
  const { model } = source;
  const { fileType, imatrix, notes, expectedTypes } = spec;
  const alignment = model.alignment === OUTPUT_ALIGNMENT_BYTES ? undefined : OUTPUT_ALIGNMENT_BYTES;
  const first = await openSource(model.shards[0]?.path ?? model.path);
  try {
    const keyValues = await quantizedKeys(model, readAhead(first), { fileType, imatrix, notes, alignment });
    const tensors = [...model.tensors].sort(asLoaded).map((tensor): StreamedTensor => {
      const type = expectedTypes.get(tensor.name) ?? tensor.type;
      const shape = tensor.shape.slice(0, dimensionCount(tensor.shape));
      return { name: tensor.name, shape, type, data: () => data(tensor, type) };
    });
    // its keys say general.alignment themselves where the source's was another
    await writeGgufAt(aside, { version: GGUF_VERSION, keyValues, tensors });
  } finally {
    await first.close();
  }
}
