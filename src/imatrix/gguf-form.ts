/**
 * The GGUF form of an imatrix: per weight an F32 tensor `<weight>.in_sum2` [ne0, matrices] with sums of squared inputs
 * and `<weight>.counts` [1, matrices] with the rows that were summed.
 */
import { openFileSource } from "../bytes/source.ts";
import { FormatError } from "../errors.ts";
import type { Model, ModelFile, TensorInfo } from "../gguf/model.ts";
import type { ImatrixContent } from "./imatrix.ts";

export const SUMS = ".in_sum2";
export const COUNTS = ".counts";
export const DATASETS_KEY = "imatrix.datasets";
export const CHUNK_COUNT_KEY = "imatrix.chunk_count";
export const CHUNK_SIZE_KEY = "imatrix.chunk_size";

/** Compute the importance of every weight of an open GGUF imatrix. */
export async function readGgufImatrix(file: ModelFile): Promise<Omit<ImatrixContent, "dataset">> {
  const { metadata, path } = file.model;
  const kind = metadata.get("general.type");
  if (kind !== undefined && kind !== "imatrix") {
    throw new FormatError(
      path,
      `imatrix: expected general.type "imatrix", got ${JSON.stringify(kind)}; give a file of llama-imatrix`,
    );
  }
  const missing = [DATASETS_KEY, CHUNK_COUNT_KEY, CHUNK_SIZE_KEY].filter((key) => !metadata.has(key));
  if (missing.length > 0) {
    throw new FormatError(
      path,
      `imatrix: the key ${missing.join(", ")} is missing; llama-quantize refuses such a file, make it again`,
    );
  }
  const chunks = Number(metadata.get(CHUNK_COUNT_KEY));
  if (!Number.isSafeInteger(chunks)) {
    throw new FormatError(
      path,
      `imatrix: ${CHUNK_COUNT_KEY} is ${String(metadata.get(CHUNK_COUNT_KEY))}, expected an integer`,
    );
  }
  const importance = new Map<string, Float32Array>();
  const unseen = new Map<string, number>();
  for (const [name, pair] of pairs(file)) {
    const weight = await weightImportance(file, name, pair);
    importance.set(name, weight.values);
    if (weight.unseen > 0) unseen.set(name, weight.unseen);
  }
  if (importance.size === 0)
    throw new FormatError(path, `imatrix: no ${SUMS} tensors in the file; give a file of llama-imatrix`);
  return {
    importance,
    unseen,
    chunks: Math.max(0, chunks),
  };
}

/** More than of a dataset's name is ever written. */
const DATASET_BYTES = 256;

/** The bytes of the first dataset's name, whose text would not tell what a broken character was; empty where there is none. */
export async function readFirstDataset({ path, metadata, keyValues }: Model): Promise<Uint8Array> {
  const datasets = metadata.get(DATASETS_KEY);
  const entry = keyValues.find(({ key }) => key === DATASETS_KEY);
  if (entry === undefined || !Array.isArray(datasets) || typeof datasets[0] !== "string") return new Uint8Array();
  const source = await openFileSource(path);
  try {
    // the length of the key and the key; the types of the value and of its elements; how many there are
    const start = entry.start + 8 + DATASETS_KEY.length + 4 + 4 + 8;
    const length = new DataView((await source.read(start, 8)).slice().buffer).getBigUint64(0, true);
    return await source.read(start + 8, Math.min(Number(length), DATASET_BYTES));
  } finally {
    await source.close();
  }
}

interface Pair {
  readonly sums: TensorInfo;
  readonly counts: TensorInfo;
}

function pairs(file: ModelFile): Map<string, Pair> {
  const byName = new Map(file.model.tensors.map((tensor) => [tensor.name, tensor]));
  const found = new Map<string, Pair>();
  for (const tensor of file.model.tensors) {
    const suffix = [SUMS, COUNTS].find((end) => tensor.name.endsWith(end));
    if (suffix === undefined) continue;
    const name = tensor.name.slice(0, -suffix.length);
    const sums = byName.get(name + SUMS);
    const counts = byName.get(name + COUNTS);
    if (!sums || !counts) {
      throw new FormatError(
        file.model.path,
        `imatrix: ${name} has ${sums ? SUMS : COUNTS} but no ${sums ? COUNTS : SUMS}; the file is damaged, make it again`,
      );
    }
    found.set(name, { sums, counts });
  }
  return found;
}

async function weightImportance(file: ModelFile, name: string, { sums, counts }: Pair) {
  const values = await readFloats(file, sums);
  const perMatrix = await readFloats(file, counts);
  const row = values.length / perMatrix.length;
  if (!Number.isInteger(row)) {
    throw new FormatError(
      file.model.path,
      `imatrix: ${name} has ${values.length} sums for ${perMatrix.length} counts, expected a multiple; the file is damaged`,
    );
  }
  let unseen = 0;
  perMatrix.forEach((stored, matrix) => {
    if (!Number.isFinite(stored)) {
      throw new FormatError(
        file.model.path,
        `imatrix: count ${matrix} of ${name} is ${stored}; make the imatrix again`,
      );
    }
    const count = Math.round(stored);
    if (count <= 0) unseen++;
    for (let index = matrix * row; index < (matrix + 1) * row; index++) {
      // an expert that saw no token weighs all its inputs alike
      values[index] = count > 0 ? (values[index] as number) / Math.fround(count) : 1;
    }
  });
  return { values, unseen };
}

async function readFloats(file: ModelFile, tensor: TensorInfo): Promise<Float32Array> {
  if (tensor.type !== "F32") {
    throw new FormatError(file.model.path, `imatrix: ${tensor.name} is ${tensor.type}, expected F32`);
  }
  const bytes = await file.read(tensor, 0, tensor.bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: tensor.elements }, (_, index) => view.getFloat32(4 * index, true));
}
