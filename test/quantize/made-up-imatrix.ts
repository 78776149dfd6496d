/** An imatrix as llama-imatrix writes it, with random sums for the tensors of a model. */
import { ineligibleReason } from "../../src/ggml/eligibility.ts";
import { openModel } from "../../src/gguf/open.ts";
import { type NewTensor, writeGguf } from "../../src/gguf/writer.ts";
import { createRandom, seedFromName } from "../../src/random.ts";

const CHUNKS = 3;
const CHUNK_SIZE = 64;

/** Write an imatrix for the eligible tensors of `model` but those whose names contain one of `without`. */
export async function writeMadeUpImatrix(
  model: string,
  path: string,
  without: readonly string[] = [],
  dataset = "made-up.txt",
): Promise<string> {
  const file = await openModel(model);
  await file.close();
  const weights = file.model.tensors.filter(
    (tensor) => ineligibleReason(tensor) === undefined && !without.some((part) => tensor.name.includes(part)),
  );
  const tensors = weights.flatMap(({ name, shape }): NewTensor[] => {
    const [row = 1, , matrices = 1] = shape;
    const random = createRandom(seedFromName(name, 1));
    const sums = Float32Array.from({ length: row * matrices }, () => CHUNKS * (0.5 + random()));
    const counts = new Float32Array(matrices).fill(CHUNKS);
    return [
      { name: `${name}.in_sum2`, shape: [row, matrices], type: "F32", data: new Uint8Array(sums.buffer) },
      { name: `${name}.counts`, shape: [1, matrices], type: "F32", data: new Uint8Array(counts.buffer) },
    ];
  });
  await writeGguf(path, {
    keyValues: [
      { key: "general.type", type: "string", value: "imatrix" },
      { key: "imatrix.datasets", type: { array: "string" }, value: [dataset] },
      { key: "imatrix.chunk_count", type: "u32", value: CHUNKS },
      { key: "imatrix.chunk_size", type: "u32", value: CHUNK_SIZE },
    ],
    tensors,
  });
  return path;
}
