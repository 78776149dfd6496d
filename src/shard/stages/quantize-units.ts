/** The units of a quantized file: tensors in the order of the file, rows of large ones, layers where codes are chosen. */
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import { TENSOR_TYPES, type TensorType } from "../../ggml/tensor-types.ts";
import type { TensorInfo } from "../../gguf/model.ts";
import { rowsOf } from "../../quantize/encode-tensor.ts";
import { layerGroups } from "../layer-groups.ts";
import type { PlannedUnit } from "../stage.ts";
import { type UnitSizes, unitBytes } from "../unit-bytes.ts";

/** Rows of a tensor, over all its matrices: [from, to). */
const PIECE = t.object({ tensor: t.name(), from: t.count(), to: t.count() });
export type Piece = Content<typeof PIECE>;
export const QUANTIZE_UNIT = t.object({ pieces: t.list(PIECE) });

/** Consecutive tensors of the file, or rows of one, of so many bytes of the source at most; a row is never cut. */
export function rowUnits(
  tensors: readonly TensorInfo[],
  typeOf: (tensor: TensorInfo) => TensorType,
  sizes: UnitSizes,
): PlannedUnit[] {
  const mostBytes = unitBytes(sizes);
  const units: { pieces: Piece[]; bytes: number; cost: number }[] = [];
  for (const tensor of tensors) {
    const rows = rowsOf(tensor);
    const rowBytes = tensor.bytes / rows;
    const most = Math.max(1, Math.floor(mostBytes / rowBytes));
    for (let from = 0; from < rows; from += most) {
      const to = Math.min(rows, from + most);
      const bytes = (to - from) * rowBytes;
      const last = units.at(-1);
      const unit = last !== undefined && last.bytes + bytes <= mostBytes ? last : { pieces: [], bytes: 0, cost: 0 };
      if (unit !== last) units.push(unit);
      unit.pieces.push({ tensor: tensor.name, from, to });
      unit.bytes += bytes;
      unit.cost += bytes * effort(tensor.type, typeOf(tensor));
    }
  }
  return units.map(({ pieces, cost }) => ({ of: { pieces }, cost }));
}

/** Rows of one tensor, or the first and the last of several. */
export function nameOfPieces(pieces: readonly Piece[]): string {
  const [first, last] = [pieces[0], pieces.at(-1)];
  if (first === undefined || last === undefined) return "no tensors";
  return first === last
    ? `${first.tensor}, rows ${first.from} to ${first.to - 1}`
    : `${first.tensor} to ${last.tensor}`;
}

/** Choosing codes, beside rounding alone, about. */
const CHOOSING = 20;

/**
 * Whole layers, because tensors of a layer share inputs and a unit is a pass over the text that codes are chosen by: as few
 * units as jobs and the size of a unit allow. What is in no layer is by itself.
 */
export function layerUnits(
  tensors: readonly TensorInfo[],
  typeOf: (tensor: TensorInfo) => TensorType,
  sizes: UnitSizes,
): PlannedUnit[] {
  return layerGroups(tensors, sizes).map((group) => ({
    of: { pieces: group.map((tensor) => ({ tensor: tensor.name, from: 0, to: rowsOf(tensor) })) },
    cost: group.reduce((sum, tensor) => sum + tensor.bytes * codingEffort(tensor.type, typeOf(tensor)), 0),
  }));
}

function codingEffort(from: TensorType, to: TensorType): number {
  return effort(from, to) + (from === to ? 0 : CHOOSING);
}

/** Times of a byte of the source beside each other, about: what is copied, rounded, and searched for on a lattice. */
function effort(from: TensorType, to: TensorType): number {
  if (from === to) return 0.1;
  if (TENSOR_TYPES[to].importance === "required" || to.startsWith("IQ3")) return 30;
  return to.startsWith("IQ") ? 5 : 1;
}
