/** A model with a tensor that nothing can be measured of. */
import { open } from "node:fs/promises";
import { openLocalModel } from "../../src/gguf/open.ts";

/** Make all of an F16 tensor NaN. */
export async function spoilTensor(path: string, tensor: string): Promise<void> {
  const model = await openLocalModel(path);
  const { offset, bytes } = model.model.tensors.find(({ name }) => name === tensor) as {
    offset: number;
    bytes: number;
  };
  await model.close();
  const file = await open(path, "r+");
  await file.write(new Uint8Array(new Uint16Array(bytes / 2).fill(0x7e00).buffer), 0, bytes, offset);
  await file.close();
}
