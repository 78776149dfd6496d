/** What a file of an importance matrix holds of a model. */
import type { Model } from "../gguf/model.ts";
import { type ClassCoverage, findHoles } from "./coverage.ts";
import { readImatrix } from "./imatrix.ts";

export interface ImatrixFile {
  readonly path: string;
  readonly sha256: string;
  /** Tensors it has values for. */
  readonly entries: number;
  readonly chunks: number;
  readonly dataset: string;
  /** Weights without values, by class. */
  readonly holes: readonly ClassCoverage[];
}

export async function describeImatrix(path: string, { tensors }: Pick<Model, "tensors">): Promise<ImatrixFile> {
  const made = await readImatrix(path);
  const { sha256, entries, chunks, dataset } = made;
  return { path, sha256, entries, chunks, dataset, holes: findHoles(made, tensors) };
}
