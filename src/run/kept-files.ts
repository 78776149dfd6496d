/**
 * What state.json knows of the other files of its directory: what each was when the run wrote it. A run goes on only from
 * files that are as they were; cards and reports say of what is not.
 */
import { createHash } from "node:crypto";
import { join, relative, sep } from "node:path";
import type { Bench } from "../bench.ts";
import { fileExists, writeFileAside } from "../disk/aside-file.ts";
import { hashFile } from "../disk/file-hash.ts";
import { describeOutput, type OutputFile } from "../quantize/outputs.ts";
import { KEPT_SLUGS } from "./kept-slugs.ts";
import type { Run } from "./run-document.ts";
import type { RunDirectory } from "./run-state.ts";

/** Write a document of the directory; what comes back is the state that knows it, to be saved. */
export async function writeKept(state: Run, directory: RunDirectory, path: string, content: string): Promise<Run> {
  await writeFileAside(path, content);
  const sha256 = createHash("sha256").update(content).digest("hex");
  return withFile(state, { path: nameIn(directory, path), fileBytes: Buffer.byteLength(content), sha256 });
}

/** The state that knows a model that was made, to be saved before it is measured: it need not be made again. */
export interface KeptModel {
  readonly state: Run;
  readonly sha256: string;
}

export async function keepModel(state: Run, directory: RunDirectory, path: string): Promise<KeptModel> {
  const { fileBytes, sha256 } = await describeOutput(path);
  return { state: withFile(state, { path: nameIn(directory, path), fileBytes, sha256 }), sha256 };
}

export function modelAsKept(state: Run, directory: RunDirectory, path: string): KeptModel | undefined {
  const known = knownFile(state, directory, path);
  return known && { state, sha256: known.sha256 };
}

function withFile(state: Run, file: OutputFile): Run {
  const kept = state.kept ?? [];
  // in its old place: what is made again is no other run
  const isKnown = kept.some(({ path }) => path === file.path);
  return { ...state, kept: isKnown ? kept.map((one) => (one.path === file.path ? file : one)) : [...kept, file] };
}

/** The state without a model that was made: what it was measured by knows it. */
export function measuredModel(state: Run, directory: RunDirectory, path: string): Run {
  return { ...state, kept: (state.kept ?? []).filter((file) => file.path !== nameIn(directory, path)) };
}

/** Whether a file is there as the state says it was written; undefined where it is not there, or the state doesn't know it. */
export async function isAsKept(state: Run, directory: RunDirectory, path: string): Promise<boolean | undefined> {
  const known = knownFile(state, directory, path);
  if (known === undefined || !(await fileExists(path))) return undefined;
  return (await hashFile(path)) === known.sha256;
}

function knownFile({ kept }: Run, directory: RunDirectory, path: string): OutputFile | undefined {
  return kept?.find((file) => file.path === nameIn(directory, path));
}

/** Whether an evaluation may be gone on from: one that was changed is said, and to be measured again. */
export async function isIntact(
  state: Run,
  directory: RunDirectory,
  path: string,
  { progress }: Pick<Bench, "progress">,
): Promise<boolean> {
  if ((await isAsKept(state, directory, path)) !== false) return true;
  progress.note(`! ${path} was changed after it was written: measured again`);
  return false;
}

/** The files of the directory that are not what the state says of them; those that are gone are not among them. */
export async function changedFiles(
  { kept = [], outputs = [], rows, sweep }: Run,
  directory: RunDirectory,
): Promise<string[]> {
  const measured = (["plan", "feedback"] as const).flatMap((which) => {
    const sha256 = rows.find(({ kind }) => kind === which)?.sha256;
    return sha256 === undefined ? [] : [[nameIn(directory, directory.model(KEPT_SLUGS[which])), sha256] as const];
  });
  const members = (sweep?.points ?? []).flatMap((point) =>
    [point, point.feedback].flatMap((file) =>
      file?.path === undefined || file.sha256 === undefined ? [] : [[file.path, file.sha256] as const],
    ),
  );
  const known = new Map<string, string>([
    ...measured,
    ...members,
    ...[...kept, ...outputs].map((file) => [file.path.replaceAll("\\", "/"), file.sha256] as const),
  ]);
  const changed: string[] = [];
  for (const [name, sha256] of known) {
    const file = join(directory.path, name);
    if ((await fileExists(file)) && (await hashFile(file)) !== sha256) changed.push(name);
  }
  return changed;
}

function nameIn(directory: RunDirectory, path: string): string {
  return relative(directory.path, path).replaceAll(sep, "/");
}
