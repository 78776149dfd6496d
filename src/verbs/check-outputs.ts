/** The files a command is about to write, checked before the work that would be lost if they could not be. */
import { dirname, extname } from "node:path";
import { checkReplaceable, fileExists, makeFolder } from "../disk/aside-file.ts";
import { UsageError } from "../errors.ts";
import { protectInputs } from "../intake/protect-inputs.ts";

export interface OutputChecks {
  /** The files that are read: never written, whatever `force` allows. */
  readonly inputs: readonly (string | undefined)[];
  readonly force?: boolean | undefined;
  /** The outputs are GGUF files; else none may be named like one. */
  readonly gguf?: boolean | undefined;
}

/**
 * Check that every path can be written, and make its folder. Throws UsageError for a file that is an input, exists (unless
 * `force`) or is named like a model, FileError for a folder that can't be made or written.
 */
export async function checkOutputs(
  paths: readonly string[],
  { inputs, force = false, gguf = false }: OutputChecks,
): Promise<void> {
  await protectInputs(paths, inputs);
  const existing: string[] = [];
  for (const path of paths) {
    if (!gguf && extname(path).toLowerCase() === ".gguf") {
      throw new UsageError(`-o ${path}: this command writes JSON, not a model; name a .json file`);
    }
    await checkReplaceable(path);
    if (await fileExists(path)) existing.push(path);
  }
  if (existing.length > 0 && !force) {
    throw new UsageError(
      `${existing.join(", ")} ${existing.length === 1 ? "exists" : "exist"}; give --force to replace, or another name with -o`,
    );
  }
  for (const folder of new Set(paths.map((path) => dirname(path)))) await makeFolder(folder);
}
