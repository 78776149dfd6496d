/** The files that a finished run leaves for a person to take away, with their hashes. */
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Model } from "../gguf/model.ts";
import { copyProjectors, describeOutput, type OutputFile } from "../quantize/outputs.ts";
import type { RunDirectory } from "./run-state.ts";

/** Copy the model's projectors to its quantized files, and describe all models and plans; names start in the run's folder. */
export async function collectOutputs(
  model: Pick<Model, "path" | "arch">,
  directory: RunDirectory,
): Promise<OutputFile[]> {
  await copyProjectors(model, directory.models, true);
  const outputs: OutputFile[] = [];
  for (const folder of [directory.models, directory.plans]) {
    const names = (await readdir(folder)).filter((name) => !name.startsWith(".")).sort();
    for (const name of names) {
      const output = await describeOutput(join(folder, name));
      outputs.push({ ...output, path: relative(directory.path, output.path) });
    }
  }
  return outputs;
}
