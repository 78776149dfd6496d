/** The data of a quantized file from the values of its units. */
import { FormatError } from "../../errors.ts";
import { TENSOR_TYPES } from "../../ggml/tensor-types.ts";
import type { RowRange } from "../../gguf/model.ts";
import type { TensorData } from "../../quantize/assemble.ts";
import { rowsOf } from "../../quantize/encode-tensor.ts";
import { requireContent } from "../campaign.ts";
import { type LargeValue, readLarge } from "../large-values.ts";
import type { CampaignPlace } from "../stage.ts";
import { QUANTIZE_UNIT } from "./quantize-units.ts";

/** The data of the tensors, which are asked for in the order of the units. */
export function unitsData(
  { directory, campaign }: Pick<CampaignPlace, "directory" | "campaign">,
  values: readonly LargeValue[],
): TensorData {
  const pieces = campaign.units.flatMap(({ key, of }, index) =>
    requireContent(QUANTIZE_UNIT, of, "unit").pieces.map((piece, at, all) => ({
      ...piece,
      unit: { key, value: values[index] as LargeValue },
      ends: at === all.length - 1,
    })),
  );
  const stream = createStream(directory);
  let next = 0;
  return async function* (tensor, type) {
    const rowBytes = TENSOR_TYPES[type].blockBytes * ((tensor.shape[0] ?? 1) / TENSOR_TYPES[type].blockElements);
    for (let row = 0; row < rowsOf(tensor); ) {
      const piece = pieces[next++];
      if (piece?.tensor !== tensor.name || piece.from !== row) {
        throw new FormatError("campaign.json", `its units are not the rows of ${tensor.name}; make it again`);
      }
      yield* stream(piece.unit, bytesOf(piece, rowBytes), piece.ends);
      row = piece.to;
    }
  };
}

const bytesOf = ({ from, to }: RowRange, rowBytes: number): number => (to - from) * rowBytes;

/** Takes so many bytes at a time from the values of units, one unit after another. */
function createStream(directory: string) {
  let open: AsyncGenerator<Uint8Array> | undefined;
  let rest = new Uint8Array();
  return async function* (
    { key, value }: { readonly key: string; readonly value: LargeValue },
    bytes: number,
    ends: boolean,
  ): AsyncGenerator<Uint8Array> {
    open ??= readLarge(directory, key, value);
    let left = bytes;
    while (left > 0) {
      if (rest.length === 0) {
        const { value: piece, done } = await open.next();
        if (done) throw new FormatError(directory, `the part of unit ${key} is too short; make it again`);
        rest = piece as Uint8Array<ArrayBuffer>;
      }
      const taken = rest.subarray(0, left);
      yield taken;
      rest = rest.subarray(taken.length);
      left -= taken.length;
    }
    if (!ends) return;
    // to its end, where it is known to be what was written
    const beyond = rest.length > 0 || !(await open.next()).done;
    if (beyond) throw new FormatError(directory, `the part of unit ${key} is too long; make it again`);
    open = undefined;
  };
}
