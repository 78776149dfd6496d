/** The files a command is about to write, checked before the work that would be lost if they could not be. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname, extname } from "node:path";
import { FileError, UsageError } from "../errors.ts";

/**
 * Check that every path can be written. Throws UsageError for a file that exists (unless `force`) or is named like a
 * model, FileError for a folder that can't be written.
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
    await checkFolder(dirname(path));
  }
  if (existing.length === 0 || force) return;
  throw new UsageError(
    `${existing.join(", ")} ${existing.length === 1 ? "exists" : "exist"}; give --force to replace, or another name with -o`,
  );
}

/** The folder, or the nearest one above it that exists: missing ones are made when the file is written. */
async function checkFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error) {
    if (found.code === "ENOENT" && dirname(folder) !== folder) return checkFolder(dirname(folder));
    throw new FileError(folder, `can't be written to (${found.code}); choose another folder with -o`, { cause: found });
  }
  if (!found.isDirectory()) throw new FileError(folder, "is a file, not a folder; choose another folder with -o");
  await access(folder, constants.W_OK).catch((cause: unknown) => {
    throw new FileError(folder, "no permission to write here; choose another folder with -o", { cause });
  });
}
