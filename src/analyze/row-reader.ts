/** Rows of one tensor as bytes, each read from the file once: the metrics' bands are kept for the distortion. */
import { rowBytes } from "../ggml/tensor-types.ts";
import type { ModelFile, TensorInfo } from "../gguf/model.ts";
import type { Band } from "./sampling.ts";

export interface RowReader {
  readonly tensor: TensorInfo;
  /** Bytes of one row. */
  readonly rowBytes: number;
  /** Read bands in file order into one piece; neighbours in one range. Those to `keep` are held for a later read. */
  read(bands: readonly Band[], keep?: (band: Band) => boolean): Promise<Uint8Array>;
  /** Bytes and rows that came from the file so far. */
  bytesRead(): number;
  rowsRead(): number;
}

/** Open the rows of a tensor. */
export function createRowReader(file: ModelFile, tensor: TensorInfo): RowReader {
  const bytesPerRow = rowBytes(tensor.type, tensor.shape[0] ?? 1);
  const kept = new Map<number, Uint8Array>();
  const seen = new Uint8Array(tensor.elements / (tensor.shape[0] ?? 1));
  let rowsRead = 0;
  let bytesRead = 0;

  return {
    tensor,
    rowBytes: bytesPerRow,
    bytesRead: () => bytesRead,
    rowsRead: () => rowsRead,
    async read(bands, keep = () => false) {
      // all at once: from a remote file, each range by itself would take a round trip
      const pieces = await Promise.all(
        ranges(bands, keptBytes).map(
          (range) => keptBytes(range) ?? file.read(tensor, range.firstRow * bytesPerRow, range.rows * bytesPerRow),
        ),
      );
      const whole = joined(pieces);
      account(bands);
      hold(bands, whole, keep);
      return whole;
    },
  };

  /** A band of another size may begin at the same row. */
  function keptBytes({ firstRow, rows }: Range): Uint8Array | undefined {
    const bytes = kept.get(firstRow);
    return bytes?.length === rows * bytesPerRow ? bytes : undefined;
  }

  function account(bands: readonly Band[]): void {
    for (const band of bands) {
      const { firstRow, rows } = band;
      if (keptBytes(band) === undefined) bytesRead += rows * bytesPerRow;
      for (let row = firstRow; row < firstRow + rows; row++) {
        rowsRead += 1 - (seen[row] as number);
        seen[row] = 1;
      }
    }
  }

  /** Copies, so that a few bands do not hold on to all that was read with them. */
  function hold(bands: readonly Band[], whole: Uint8Array, keep: (band: Band) => boolean): void {
    let offset = 0;
    for (const band of bands) {
      const end = offset + band.rows * bytesPerRow;
      if (keep(band)) kept.set(band.firstRow, whole.slice(offset, end));
      offset = end;
    }
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [first, ...others] = pieces;
  if (first !== undefined && others.length === 0) return first;
  const whole = new Uint8Array(pieces.reduce((bytes, piece) => bytes + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}

type Range = Pick<Band, "firstRow" | "rows">;

/** Join neighbouring bands that must come from the file; kept bands stand alone. */
function ranges(bands: readonly Band[], kept: (range: Range) => Uint8Array | undefined): Range[] {
  const runs: { firstRow: number; rows: number; kept: boolean }[] = [];
  for (const band of bands) {
    const { firstRow, rows } = band;
    const last = runs.at(-1);
    const isKept = kept(band) !== undefined;
    if (last && !last.kept && !isKept && last.firstRow + last.rows === firstRow) last.rows += rows;
    else runs.push({ firstRow, rows, kept: isKept });
  }
  return runs;
}
