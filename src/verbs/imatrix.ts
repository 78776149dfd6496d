/** A model → the file of its importance matrix, from a text or from what the model itself writes. */
import type { Bench } from "../bench.ts";
import { fitLayers } from "../evaluate/gpu-layers.ts";
import { type ImatrixRequest, makeImatrix } from "../evaluate/make-imatrix.ts";
import { openLocalModel } from "../gguf/open.ts";
import { describeImatrix, type ImatrixFile } from "../imatrix/describe-imatrix.ts";
import { checkOutputs } from "./check-outputs.ts";

export interface ImatrixFileRequest extends Omit<ImatrixRequest, "output"> {
  /** Where the matrix goes; by default imatrix.gguf in this folder. */
  readonly output?: string | undefined;
  readonly force?: boolean | undefined;
}

export type { ImatrixFile };

export const DEFAULT_IMATRIX = "imatrix.gguf";

/** Make it. Throws as checkOutputs and makeImatrix do. */
export async function imatrix(path: string, request: ImatrixFileRequest, bench: Bench): Promise<ImatrixFile> {
  const { output = DEFAULT_IMATRIX, force } = request;
  const model = await openLocalModel(path);
  try {
    await checkOutputs([output], { inputs: [path, request.text], force, gguf: true });
    await makeImatrix(model, { ...request, output }, fitLayers(bench, model, request));
    return await describeImatrix(output, model.model);
  } finally {
    await model.close();
  }
}
