/** What llama-quantize would write, all weights zero: the decided types, and exactly the predicted bytes of header. */
import type { EngineImatrix } from "../../src/engine/engine.ts";
import { outputOrder } from "../../src/ggml/stock-mix.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { outputHeaderBytes, readFacts } from "../../src/gguf/facts.ts";
import type { Model } from "../../src/gguf/model.ts";
import { openModel } from "../../src/gguf/open.ts";
import { imatrixKeyBytes, noteBytes } from "../../src/gguf/output-header.ts";
import { type NewKeyValue, writeGguf } from "../../src/gguf/writer.ts";

export async function readModel(path: string): Promise<Model> {
  const file = await openModel(path);
  await file.close();
  return file.model;
}

/** Write the model at `source` with other types; tensors without one keep theirs. */
export async function writePaperModel(
  source: string,
  output: string,
  types: ReadonlyMap<string, TensorType>,
  imatrix?: EngineImatrix,
  notes: ReadonlyMap<string, string> = new Map(),
) {
  const model = await readModel(source);
  const tensors = outputOrder(model.tensors).map(({ name, shape, type }) => ({
    name,
    shape,
    type: types.get(name) ?? type,
  }));
  const write = (filler: string) => {
    const keyValues: NewKeyValue[] = [
      { key: "general.architecture", type: "string", value: model.arch },
      { key: "tokenizer.ggml.model", type: "string", value: "on paper" },
      { key: "general.file_type", type: "u32", value: 0 },
      { key: "general.quantization_version", type: "u32", value: 2 },
      { key: "filler", type: "string", value: filler },
    ];
    return writeGguf(output, { keyValues, tensors });
  };
  await write("");
  await write(
    "x".repeat(
      readFacts(model).outputHeaderBytes +
        (imatrix ? imatrixKeyBytes(imatrix) : 0) +
        noteBytes(notes) -
        outputHeaderBytes(await readModel(output)),
    ),
  );
}
