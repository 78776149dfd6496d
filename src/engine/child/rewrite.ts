/**
 * Writes tensors, degraded by a tensor type or as they are, into a copy of their file: a probe without a file of its
 * own. The copy keeps its layout, since every weight goes back into the type of the source.
 */
import { closeSync, openSync } from "node:fs";
import { rowBytes, type TensorType } from "../../ggml/tensor-types.ts";
import type { RewriteJob, RewrittenTensor } from "../engine.ts";
import { readExactly, writeExactly } from "./file-pieces.ts";
import type { LlamaLibrary } from "./llama-library.ts";
import { decode, encode, PIECE_WEIGHTS, requantize } from "./round-trip.ts";

/** Throws an Error where a file ends early or a value no longer fits the source's type. */
export function rewrite(library: LlamaLibrary, { from, to, tensors, type }: RewriteJob): void {
  const source = openSync(from, "r");
  try {
    const target = openSync(to, "r+");
    try {
      for (const tensor of tensors) rewriteTensor(library, { source, target }, tensor, type);
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(source);
  }
}

interface Files {
  readonly source: number;
  readonly target: number;
}

function rewriteTensor(
  library: LlamaLibrary,
  { source, target }: Files,
  { offset, shape, sourceType, importance }: RewrittenTensor,
  type: TensorType | undefined,
): void {
  const [rowElements = 1, matrixRows = 1, ...outer] = shape;
  const matrices = outer.reduce((product, n) => product * n, 1);
  const bytesPerRow = rowBytes(sourceType, rowElements);
  const pieceRows = Math.max(1, Math.floor(PIECE_WEIGHTS / rowElements));
  for (let matrix = 0; matrix < matrices; matrix++) {
    // Each matrix of a tensor of experts has importance of its own.
    const weights = importance?.subarray((matrix * rowElements) % importance.length).subarray(0, rowElements);
    for (let row = 0; row < matrixRows; row += pieceRows) {
      const rows = Math.min(pieceRows, matrixRows - row);
      const position = offset + (matrix * matrixRows + row) * bytesPerRow;
      const bytes = readExactly(source, position, rows * bytesPerRow);
      const degraded =
        type === undefined ? bytes : degrade(library, bytes, sourceType, type, { rows, rowElements, weights });
      writeExactly(target, position, degraded);
    }
  }
}

function degrade(
  library: LlamaLibrary,
  bytes: Uint8Array,
  sourceType: TensorType,
  type: TensorType,
  { rows, rowElements, weights }: { rows: number; rowElements: number; weights: Float32Array | undefined },
): Uint8Array {
  const original = decode(library, sourceType, bytes, rows * rowElements);
  const restored = requantize(library, type, original, rowElements, weights);
  const degraded = encode(library, sourceType, restored, rowElements, undefined);
  if (decode(library, sourceType, degraded, restored.length).every(Number.isFinite)) return degraded;
  throw new Error(`weights of ${sourceType} that went through ${type} no longer fit ${sourceType}`);
}
