/** The files a command is about to write, checked before the work that would be lost if they could not be. */
import { constants } from "node:fs";
import { access, mkdir, stat } from "node:fs/promises";
import { dirname, extname } from "node:path";
import { FileError, UsageError } from "../errors.ts";

/**
 * Check that every path can be written, and make its folder. Throws UsageError for a file that exists (unless `force`)
 * or is named like a model, FileError for a folder that can't be made or written.
 */
export async function checkOutputs(paths: readonly string[], force: boolean): Promise<void> {
  const existing: string[] = [];
  for (const path of paths) {
    if (extname(path).toLowerCase() === ".gguf") {
      throw new UsageError(`-o ${path}: this command writes JSON, not a model; name a .json file`);
    }
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory()) throw new FileError(path, "is a folder; name a file in it");
    if (found) existing.push(path);
  }
  if (existing.length > 0 && !force) {
    throw new UsageError(
      `${existing.join(", ")} ${existing.length === 1 ? "exists" : "exist"}; give --force to replace, or another name with -o`,
    );
  }
  for (const folder of new Set(paths.map((path) => dirname(path)))) await makeFolder(folder);
}

/** One level at a time: mkdir's own `recursive` never returns where a file system refuses, as /proc does. */
async function makeFolder(folder: string): Promise<void> {
  try {
    const found = await stat(folder).catch(() => undefined);
    if (found === undefined) {
      if (dirname(folder) !== folder) await makeFolder(dirname(folder));
      await mkdir(folder);
      return;
    }
    if (!found.isDirectory()) throw new FileError(folder, "is a file, not a folder; choose another with -o");
    await access(folder, constants.W_OK);
  } catch (error) {
    if (error instanceof FileError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    // another process was faster
    if (code === "EEXIST") return;
    throw new FileError(folder, `can't be written to (${code}); choose another folder with -o`, { cause: error });
  }
}
