/** A model → the file of its importance matrix, from a text or from what the model itself writes. */
import type { Bench } from "../bench.ts";
import { checkWritable, fileExists } from "../disk/aside-file.ts";
import { UsageError } from "../errors.ts";
import { type ImatrixRequest, makeImatrix } from "../evaluate/make-imatrix.ts";
import { openLocalModel } from "../gguf/open.ts";
import { type ClassCoverage, findHoles } from "../imatrix/coverage.ts";
import { readImatrix } from "../imatrix/imatrix.ts";
import { sameFile } from "../intake/source-checks.ts";

export interface ImatrixFileRequest extends Omit<ImatrixRequest, "output"> {
  /** Where the matrix goes; by default imatrix.gguf in this folder. */
  readonly output?: string | undefined;
  readonly force?: boolean | undefined;
}

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

export const DEFAULT_IMATRIX = "imatrix.gguf";

/** Make it. Throws UsageError for an output that is the model or exists, and as makeImatrix does. */
export async function imatrix(path: string, request: ImatrixFileRequest, bench: Bench): Promise<ImatrixFile> {
  const { output = DEFAULT_IMATRIX, force = false } = request;
  const model = await openLocalModel(path);
  try {
    for (const shard of model.model.shards) {
      if (await sameFile(shard.path, output)) {
        throw new UsageError(`-o ${output} is the model itself; name another file`);
      }
    }
    if (!force && (await fileExists(output))) {
      throw new UsageError(`${output} exists; give --force to replace it, or another name with -o`);
    }
    await checkWritable(output);
    await makeImatrix(model, { ...request, output }, bench);
    const made = await readImatrix(output);
    const { sha256, entries, chunks, dataset } = made;
    return { path: output, sha256, entries, chunks, dataset, holes: findHoles(made, model.model.tensors) };
  } finally {
    await model.close();
  }
}
