/**
 * What a tensor list must satisfy before its data is read: known types, whole blocks, aligned and disjoint ranges inside
 * the file.
 */

import { type ByteSource, formatCount } from "../bytes/source.ts";
import { FormatError } from "../errors.ts";
import { elementCount, TENSOR_TYPES, tensorBytes, tensorTypeFromId } from "../ggml/tensor-types.ts";
import { describeForeignType } from "./foreign-types.ts";
import type { ScannedTensor } from "./header-scan.ts";
import type { TensorInfo } from "./model.ts";

/** A tensor of one file, before it is known which shard the file is. */
export type HeaderTensor = Omit<TensorInfo, "shard">;

/** Check the tensors of one file and give their data ranges. `dataStart` is the first byte of the data section. */
export function checkTensors(
  source: ByteSource,
  tensors: readonly ScannedTensor[],
  alignment: number,
  dataStart: number,
): HeaderTensor[] {
  const checked = tensors.map((tensor) => checkTensor(source, tensor, alignment, dataStart));
  checkDisjoint(source, checked);
  return checked;
}

function checkTensor(source: ByteSource, scanned: ScannedTensor, alignment: number, dataStart: number): HeaderTensor {
  const { name, shape, typeId } = scanned;
  const fail = (message: string, where: { offset?: number; finding?: string } = {}) =>
    new FormatError(source.path, `gguf: tensor ${name} ${message}`, where);
  const type = tensorTypeFromId(typeId);
  if (type === undefined) throw fail(describeForeignType(typeId));
  const row = shape[0] ?? 0;
  const { blockElements } = TENSOR_TYPES[type];
  if (row % blockElements !== 0) {
    throw fail(`has rows of ${row} elements, expected a multiple of ${type}'s block of ${blockElements}`);
  }
  if (scanned.offset % alignment !== 0) {
    throw fail(`starts at ${formatCount(scanned.offset)} of the data, expected a multiple of ${alignment}`);
  }
  const offset = dataStart + scanned.offset;
  const bytes = tensorBytes(type, shape);
  if (offset + bytes > source.byteLength) {
    throw fail(
      `ends at ${formatCount(offset + bytes)} bytes but the file has ${formatCount(source.byteLength)}; the download is probably truncated`,
      { offset, finding: "truncated" },
    );
  }
  return { name, shape, elements: elementCount(shape), type, bytes, offset };
}

function checkDisjoint(source: ByteSource, tensors: readonly HeaderTensor[]): void {
  let previous: HeaderTensor | undefined;
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset)) {
    const end = previous ? previous.offset + previous.bytes : 0;
    if (tensor.offset < end) {
      throw new FormatError(
        source.path,
        `gguf: tensor ${tensor.name} starts at ${formatCount(tensor.offset)}, inside ${previous?.name}, which ends at ${formatCount(end)}; the file is damaged`,
        { offset: tensor.offset },
      );
    }
    previous = tensor;
  }
}
