/**
 * The models that a finished run keeps, each in parts where that was asked: everything was measured on the whole file, which
 * goes once its parts are there. The state knows of which file they are, so that nothing is made again.
 */
import { copyFile, link, rm } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { fileExists, writeTogether } from "../disk/aside-file.ts";
import { hashFile } from "../disk/file-hash.ts";
import { checkFreeSpace } from "../disk/free-space.ts";
import { PrismError } from "../errors.ts";
import { partPaths, type Split } from "../gguf/split.ts";
import { describeOutput } from "../quantize/outputs.ts";
import { proveLoading } from "../quantize/prove-loading.ts";
import type { QuantizeSpec } from "../quantize/quantize.ts";
import { plannedParts, removeParts, splitFile, splitOf } from "../quantize/split-file.ts";
import { KEPT_SLUGS } from "./kept-slugs.ts";
import type { OpenRun } from "./open-run.ts";
import type { Run, SplitModel } from "./run-document.ts";
import { type RunDirectory, saveRun } from "./run-state.ts";

/** Throws UsageError where a file can't be split as asked, before it is made and measured. */
export function checkSplit(
  { request, source: { model } }: Pick<OpenRun, "request" | "source">,
  spec: QuantizeSpec,
): void {
  plannedParts(model, { ...spec, split: splitOf(request, model) });
}

/** Whether the parts of a file, which was measured with this SHA-256, stand in its place as they are asked for now. */
export async function standsInParts(
  { request, source, directory }: Pick<OpenRun, "request" | "source" | "directory">,
  { split = [] }: Run,
  path: string,
  sha256: string | undefined,
): Promise<boolean> {
  const how = describeSplit(splitOf(request, source.model));
  const known = split.find((one) => one.path === nameIn(directory, path));
  if (known === undefined || sha256 === undefined || known.sha256 !== sha256 || known.how !== how) return false;
  for (const file of known.files) {
    const part = join(directory.path, file.path);
    if (!(await fileExists(part)) || (await hashFile(part)) !== file.sha256) return false;
  }
  return true;
}

/** Put parts in the place of the models that are kept, where they are asked for; the state that knows them, saved. */
export async function splitModels(run: OpenRun, finished: Run): Promise<Run> {
  const { request, source, directory, bench } = run;
  const split = splitOf(request, source.model);
  let state = finished;
  for (const whole of keptModels(directory, state)) {
    if (!(await fileExists(whole))) continue;
    const path = nameIn(directory, whole);
    // it was made again: what parts there were are of another file, or of another size
    const former = state.split?.find((one) => one.path === path);
    await removeParts(former?.files.map((file) => join(directory.path, file.path)) ?? []);
    const others = state.split?.filter((one) => one !== former) ?? [];
    const parts = split && (await placeParts(run, whole, split, others));
    const { split: _, ...rest } = state;
    const added = parts === undefined ? [] : [parts];
    // in its old place: what is made again is no other run
    const known = former === undefined ? [...others, ...added] : replaced(state.split, former, added);
    if (former === undefined && parts === undefined) continue;
    state = { ...rest, ...(known.length === 0 ? {} : { split: known }) };
    await saveRun(directory, state);
    if (parts === undefined) continue;
    await rm(whole);
    bench.progress.note(`${path} is in ${parts.files.length} parts now: ${parts.files[0]?.path} is the first`);
  }
  return state;
}

function replaced(models: Run["split"] = [], former: SplitModel, added: readonly SplitModel[]): SplitModel[] {
  return models.flatMap((one) => (one === former ? added : [one]));
}

function keptModels(directory: RunDirectory, { sweep }: Run): string[] {
  const members = (sweep?.points ?? []).flatMap(({ path, feedback }) => [path, feedback?.path]);
  const paths = members.flatMap((path) => (path === undefined ? [] : [join(directory.path, path)]));
  return [...Object.values(KEPT_SLUGS).map(directory.model), ...paths];
}

/** `others`: those of this run that are in parts; one of the same content has the same ones. */
async function placeParts(
  { source, directory, bench }: OpenRun,
  whole: string,
  split: Split,
  others: readonly SplitModel[],
): Promise<SplitModel | undefined> {
  const sha256 = await hashFile(whole);
  const how = describeSplit(split) ?? "";
  const same = others.find((one) => one.sha256 === sha256 && one.how === how);
  bench.progress.steps(`splitting ${basename(whole)}`, 0, 1);
  const paths = same === undefined ? await writeNew(whole, split) : await linkParts(directory, whole, same);
  if (paths === undefined) return undefined;
  const { loaded, why } = await proveLoading(paths[0] as string, bench, false);
  if (loaded === "refused" && !source.forced) {
    await removeParts(paths);
    throw new PrismError(
      "verification",
      1,
      `${paths[0]}: llama.cpp does not load the parts of ${whole}: ${why}. The whole file stays; please report this`,
    );
  }
  const files = [];
  for (const part of paths) files.push({ ...(await describeOutput(part)), path: nameIn(directory, part) });
  return { path: nameIn(directory, whole), sha256, how, files };
}

async function writeNew(whole: string, split: Split): Promise<readonly string[] | undefined> {
  const { fileBytes } = await describeOutput(whole);
  await checkFreeSpace(whole, join(whole, ".."), fileBytes);
  return (await splitFile(whole, whole, split, async () => undefined))?.paths;
}

/** Other names of parts; copies of them where the file system has one name for a file. */
async function linkParts(directory: RunDirectory, whole: string, { files }: SplitModel): Promise<readonly string[]> {
  const paths = partPaths(whole, files.length);
  await writeTogether(paths, async (asides) => {
    for (const [index, { path }] of files.entries()) {
      const part = join(directory.path, path);
      const aside = asides[index] as string;
      await link(part, aside).catch(() => copyFile(part, aside));
    }
  });
  return paths;
}

/** How a file was split, as the state has it. */
function describeSplit(split: Split | undefined): string | undefined {
  if (split === undefined) return undefined;
  return "like" in split ? `as the source: ${split.like.shards.length} files` : `at most ${split.maxBytes} bytes`;
}

function nameIn({ path: folder }: RunDirectory, path: string): string {
  return relative(folder, path).replaceAll(sep, "/");
}
