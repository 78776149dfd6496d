/** Room for all files of a family, asked for before any work: the last one would fail hours after the first. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { checkWritable } from "../disk/aside-file.ts";
import { checkFreeSpace } from "../disk/free-space.ts";
import { budgetBytes } from "../plan/budget-range.ts";
import { planHeaderBytes } from "../plan/predict.ts";
import type { OpenRun } from "./open-run.ts";
import { FAMILY_FILES } from "./run-state.ts";

/** Throws FileError where the disk has no room for them, and for one file beside them that is measured and removed. */
export async function checkFamilySpace({ request, source, directory }: OpenRun): Promise<void> {
  const { sweep = [], family } = request;
  if (!family) return;
  const { model, facts, fileBytes } = source.model;
  const hasImatrix = source.imatrix !== undefined || source.imatrixToMake !== undefined;
  const range = {
    facts,
    headerBytes: planHeaderBytes({ facts, imatrix: source.imatrix }),
    tensors: model.tensors,
    hasImportance: hasImatrix ? () => true : undefined,
  };
  const sizes = sweep.map((budget) => Math.min(budgetBytes(budget, range), fileBytes));
  const all = sizes.reduce((sum, size) => sum + size, 0) * (source.feedback ? 2 : 1);
  const needed = all + Math.max(...sizes) - (await bytesThere(directory.models));
  const path = join(directory.models, "plan.gguf");
  await checkFreeSpace(directory.models, await checkWritable(path), Math.max(0, needed));
}

/** Of members that a former run made. */
async function bytesThere(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  let bytes = 0;
  for (const name of names.filter((name) => FAMILY_FILES.test(name))) bytes += (await stat(join(folder, name))).size;
  return bytes;
}
