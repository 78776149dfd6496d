/**
 * The data of one tensor in its type, in pieces of rows: what llama-quantize writes for it, made without the rest of the file.
 * Any rows of any matrices can be asked for: what several make of a tensor, in order, is the tensor.
 */
import type { Bench } from "../bench.ts";
import { type EngineImatrix, requireLibrary } from "../engine/engine.ts";
import { EngineError, PrismError } from "../errors.ts";
import { rowBytes, type TensorType } from "../ggml/tensor-types.ts";
import type { OpenModel, RowRange, TensorInfo } from "../gguf/model.ts";

/** Weights converted at once: bounds the memory to a few hundred MB. */
const PIECE_WEIGHTS = 2 ** 24;

export interface TensorEncoding {
  readonly tensor: TensorInfo;
  readonly type: TensorType;
  readonly imatrix?: Pick<EngineImatrix, "importance"> | undefined;
  /** By default all. */
  readonly rows?: RowRange | undefined;
}

/** Rows of a tensor, those of all its matrices. */
export function rowsOf({ shape: [, ...outer] }: Pick<TensorInfo, "shape">): number {
  return outer.reduce((product, n) => product * n, 1);
}

/** Pieces in order. Throws EngineError where llama.cpp has no library here, PrismError where rows can't be made. */
export async function* encodeTensor(
  source: Pick<OpenModel, "path" | "read">,
  { tensor, type, imatrix, rows }: TensorEncoding,
  { engine, signal }: Pick<Bench, "engine" | "signal">,
): AsyncGenerator<Uint8Array> {
  const { encode } = requireLibrary(engine);
  if (encode === undefined) throw new EngineError("this engine quantizes whole files only", { missing: true });
  const { shape, name, type: sourceType } = tensor;
  const [rowElements = 1, matrixRows = 1] = shape;
  const importance = fitting(tensor, imatrix);
  const sourceRowBytes = rowBytes(sourceType, rowElements);
  const pieceRows = Math.max(1, Math.floor(PIECE_WEIGHTS / rowElements));
  const { from, to } = rows ?? { from: 0, to: rowsOf(tensor) };
  for (let row = from; row < to; ) {
    signal?.throwIfAborted();
    const matrix = Math.floor(row / matrixRows);
    const end = Math.min(to, row + pieceRows, (matrix + 1) * matrixRows);
    const data = await source.read(tensor, row * sourceRowBytes, (end - row) * sourceRowBytes);
    // each matrix of a tensor of experts has an importance of its own
    const own = importance?.slice(matrix * rowElements, (matrix + 1) * rowElements);
    try {
      yield await encode({ sourceType, type, rowElements, data, importance: own });
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      throw new PrismError("engine", error.exitCode, `${source.path}: ${name}: ${error.message}`, { cause: error });
    }
    row = end;
  }
}

/** As llama_model_quantize looks it up: of another length it is not taken, and checkImatrix() has refused what it refuses. */
function fitting({ name, shape }: TensorInfo, imatrix: TensorEncoding["imatrix"]): Float32Array | undefined {
  const [rowElements = 1, , matrices = 1] = shape;
  const found = imatrix?.importance.get(name);
  return found?.length === rowElements * matrices ? found : undefined;
}
