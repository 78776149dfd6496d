/** The files a person takes away: their bytes and SHA-256, and the projectors that belong to a model, copied beside it. */
import { constants } from "node:fs";
import { copyFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileExists, writeAside } from "../disk/aside-file.ts";
import { hashFile } from "../disk/file-hash.ts";
import { UsageError } from "../errors.ts";
import type { Model } from "../gguf/model.ts";
import { findProjectors } from "../preflight/projector-files.ts";
import type { OutputFile } from "./output-file.ts";

export type { OutputFile };

export async function describeOutput(path: string): Promise<OutputFile> {
  return { path, fileBytes: (await stat(path)).size, sha256: await hashFile(path) };
}

/**
 * Copy the projectors that lie beside a model into the folder of its output, unless they are there already. Returns
 * them as they lie there. Throws UsageError for another file of that name (unless `force`), FileError.
 */
export async function copyProjectors(
  model: Pick<Model, "path" | "arch">,
  folder: string,
  force: boolean,
): Promise<OutputFile[]> {
  const copies: OutputFile[] = [];
  for (const { path } of await findProjectors(model)) {
    const source = await describeOutput(path);
    const target = join(folder, basename(path));
    if (resolve(dirname(path)) !== resolve(folder)) await copyOne(source, target, force);
    copies.push({ ...source, path: target });
  }
  return copies;
}

async function copyOne({ path, sha256 }: OutputFile, target: string, force: boolean): Promise<void> {
  if (await fileExists(target)) {
    if ((await hashFile(target)) === sha256) return;
    if (!force) {
      throw new UsageError(
        `${target} exists already and is not ${path}; give --force to replace it, or another folder`,
      );
    }
  }
  await writeAside(target, (aside) => copyFile(path, aside, constants.COPYFILE_FICLONE));
}
