/**
 * Puts tensors, degraded by a tensor type or as they are, in the place of others: of a copy of their file, or of a loaded
 * model. A probe without a file of its own. Every weight goes back into the type of the source.
 */
import { closeSync, openSync } from "node:fs";
import { rowBytes, TENSOR_TYPES, type TensorType } from "../../ggml/tensor-types.ts";
import { callAsync } from "../../kernels/native-library.ts";
import { createWorkQueue } from "../../work-queue.ts";
import type { RewriteJob, RewrittenTensor } from "../engine.ts";
import { readExactly, withFile, writeExactly } from "./file-pieces.ts";
import type { LlamaLibrary } from "./llama-library.ts";
import { decode, encode, PIECE_WEIGHTS } from "./round-trip.ts";

/** Write them into a file. Throws an Error where a file ends early or a value no longer fits the source's type. */
export async function rewrite(library: LlamaLibrary, { to, ...job }: RewriteJob): Promise<void> {
  const target = openSync(to, "r+");
  try {
    await rewriteTensors(library, job, ({ offset }, at, data) => writeExactly(target, offset + at, data), 1);
  } finally {
    closeSync(target);
  }
}

/** Hand `put` the data of each tensor in pieces, `at` a byte of the tensor; several at once are on their way through `type`. */
export function rewriteTensors(
  library: LlamaLibrary,
  { from, tensors, type }: Omit<RewriteJob, "to">,
  put: (tensor: RewrittenTensor, at: number, data: Uint8Array) => void,
  atOnce: number,
): Promise<void> {
  return withFile(from, async (source) => {
    const queue = createWorkQueue(atOnce);
    const work = tensors.flatMap((tensor) =>
      piecesOf(tensor).map(({ at, bytes, ...rows }) =>
        queue.run(async () => {
          const data = readExactly(source, tensor.offset + at, bytes);
          put(tensor, at, type === undefined ? data : await degrade(library, data, tensor.sourceType, type, rows));
        }),
      ),
    );
    // the file is read until all have ended, also where one of them failed
    await Promise.allSettled(work);
    await Promise.all(work);
  });
}

interface Rows {
  readonly rows: number;
  readonly rowElements: number;
  readonly weights: Float32Array | undefined;
}

interface Piece extends Rows {
  /** First byte in the tensor. */
  readonly at: number;
  readonly bytes: number;
}

/** Rows of one matrix each. */
function piecesOf({ shape, sourceType, importance }: RewrittenTensor): Piece[] {
  const [rowElements = 1, matrixRows = 1, ...outer] = shape;
  const matrices = outer.reduce((product, n) => product * n, 1);
  const bytesPerRow = rowBytes(sourceType, rowElements);
  const pieceRows = Math.max(1, Math.floor(PIECE_WEIGHTS / rowElements));
  const pieces: Piece[] = [];
  for (let matrix = 0; matrix < matrices; matrix++) {
    // Each matrix of a tensor of experts has importance of its own.
    const weights = importance?.subarray((matrix * rowElements) % importance.length).subarray(0, rowElements);
    for (let row = 0; row < matrixRows; row += pieceRows) {
      const rows = Math.min(pieceRows, matrixRows - row);
      const at = (matrix * matrixRows + row) * bytesPerRow;
      pieces.push({ at, bytes: rows * bytesPerRow, rows, rowElements, weights });
    }
  }
  return pieces;
}

/** Rows through a type and back, in the source's type again. Quantizing, which takes longest, is off the main thread. */
async function degrade(
  library: LlamaLibrary,
  bytes: Uint8Array,
  sourceType: TensorType,
  type: TensorType,
  { rows, rowElements, weights }: Rows,
): Promise<Uint8Array> {
  const elements = rows * rowElements;
  const original = decode(library, sourceType, bytes, elements);
  const packed = new Uint8Array(rowBytes(type, rowElements) * rows);
  const { id } = TENSOR_TYPES[type];
  await callAsync(library.quantizeChunk, [id, original, packed, 0, rows, rowElements, weights ?? null]);
  const restored = decode(library, type, packed, elements);
  const degraded = encode(library, sourceType, restored, rowElements, undefined);
  if (decode(library, sourceType, degraded, elements).every(Number.isFinite)) return degraded;
  throw new Error(`weights of ${sourceType} that went through ${type} no longer fit ${sourceType}`);
}
