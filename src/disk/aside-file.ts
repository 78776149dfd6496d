/**
 * Outputs are written aside and renamed: under its final name a file is either whole or the one that stood there before.
 */
import { createHash } from "node:crypto";
import { constants, readFileSync, readlinkSync, rmSync } from "node:fs";
import { access, mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { FileError } from "../errors.ts";

/** Files under way in this process: removed when it is interrupted. */
const underWay = new Set<string>();

/** Process ids are those of one machine or container; folders may be shared by several, also of one name. */
export const MACHINE = createHash("sha256")
  .update(`${hostname()}\n${machineId()}\n${processSpace()}`)
  .digest("hex")
  .slice(0, 8);
/** A half-written file of another machine, untouched this long, was abandoned. */
const ABANDONED_MS = 24 * 3_600_000;

/** Writers of one path in this process, told apart. */
let writers = 0;

/** Names the numbers of processes; "" where the system does not say it. */
export function processSpace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

function machineId(): string {
  try {
    return readFileSync("/etc/machine-id", "utf8").trim();
  } catch {
    return "";
  }
}

/** Where `path` is written until it is whole: in the same folder, so that the rename can't cross file systems. */
export function asideName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${writers++}.${process.pid}-${MACHINE}.part`);
}

/**
 * Call `write` with a temporary name in the folder of `path` and rename the result to `path`. On failure the temporary
 * file is removed and what stood at `path` is untouched. Throws FileError for a folder or disk that can't be written.
 */
export async function writeAside<Result>(path: string, write: (aside: string) => Promise<Result>): Promise<Result> {
  const aside = asideName(path);
  try {
    await checkReplaceable(path);
    await makeFolder(dirname(path));
    await removeAbandoned(path);
    underWay.add(aside);
    const result = await write(aside);
    await rename(aside, path);
    return result;
  } catch (error) {
    await rm(aside, { force: true });
    throw writeError(path, error);
  } finally {
    underWay.delete(aside);
  }
}

/**
 * The same for files that belong together: all are whole before any of them gets its name, and the first gets it last: where
 * that one is, the others are.
 */
export function writeTogether<Result>(
  paths: readonly string[],
  write: (asides: readonly string[]) => Promise<Result>,
): Promise<Result> {
  const asides: string[] = [];
  const beside = ([path, ...others]: readonly string[]): Promise<Result> => {
    if (path === undefined) return write(asides);
    return writeAside(path, (aside) => {
      asides.push(aside);
      return beside(others);
    });
  };
  return beside(paths);
}

/** Call `work` with a name beside `path` for what is not kept: it is removed afterwards, as on failure. Throws as writeAside. */
export async function withScratchFile<Result>(
  path: string,
  work: (scratch: string) => Promise<Result>,
): Promise<Result> {
  const scratch = asideName(path);
  try {
    await makeFolder(dirname(path));
    await removeAbandoned(path);
    underWay.add(scratch);
    return await work(scratch);
  } catch (error) {
    throw writeError(path, error);
  } finally {
    await rm(scratch, { force: true });
    underWay.delete(scratch);
  }
}

/** Write a whole text or JSON file aside and rename it. */
export async function writeFileAside(path: string, content: string): Promise<void> {
  await writeAside(path, (aside) => writeFile(aside, content));
}

/** Remove what is half written. Synchronous, for the moment the process is told to stop. */
export function removeUnderWay(): void {
  for (const aside of underWay) rmSync(aside, { force: true });
}

/** Remove what a process that is no more (killed, a machine that went down) left of writing `path`. */
export async function removeAbandoned(path: string): Promise<void> {
  const [before, after] = [`.${basename(path)}.`, ".part"];
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(before) || !name.endsWith(after)) continue;
    const [, writer, machine] = /^\d+\.(\d+)-([0-9a-f]{8})$/.exec(name.slice(before.length, -after.length)) ?? [];
    if (writer === undefined) continue;
    const aside = join(dirname(path), name);
    const abandoned = machine === MACHINE ? !isRunning(Number(writer)) : await isOld(aside);
    if (abandoned) await rm(aside, { force: true });
  }
}

async function isOld(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > ABANDONED_MS;
}

export function isRunning(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/**
 * Make a folder and those above it, and check that files can be made in it. Throws FileError.
 * One level at a time: mkdir's own `recursive` never returns where a file system refuses, as /proc does.
 */
export async function makeFolder(folder: string): Promise<void> {
  try {
    if (!(await fileExists(folder))) {
      if (dirname(folder) !== folder) await makeFolder(dirname(folder));
      // another process may be faster
      await mkdir(folder).catch(async (error: unknown) => {
        if (!(await fileExists(folder))) throw error;
      });
    }
    if (!(await stat(folder)).isDirectory()) throw new FileError(folder, "is a file, not a folder; choose another");
    await access(folder, constants.W_OK);
  } catch (error) {
    throw writeError(folder, error);
  }
}

/**
 * Check that `path` could be written, before work is spent on what goes there; missing folders are made later. Returns
 * the nearest folder that exists. Throws FileError.
 */
export async function checkWritable(path: string): Promise<string> {
  await checkReplaceable(path);
  let folder = dirname(resolve(path));
  while (!(await fileExists(folder)) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    if (!(await stat(folder)).isDirectory()) throw new FileError(path, REASONS.ENOTDIR as string);
    await access(folder, constants.W_OK);
  } catch (error) {
    throw writeError(path, error);
  }
  return folder;
}

/**
 * Check that what stands at `path`, if anything does, is a regular file: a rename would put a file in the place of a
 * device, a pipe or a socket. Throws FileError.
 */
export async function checkReplaceable(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  if (found.isDirectory()) throw new FileError(path, "is a folder; name a file in it");
  throw new FileError(path, "is no regular file (a pipe, a device), which would be replaced by one; name a file");
}

export async function fileExists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "can't be made here; choose another folder",
  ENOSPC: "no space left on the disk; free some or choose another folder",
  EDQUOT: "the disk quota is used up; free some space or choose another folder",
  EACCES: "no permission to write here; choose another folder",
  EPERM: "no permission to write here; choose another folder",
  EROFS: "the file system is read-only; choose another folder",
  ENOTDIR: "a part of the path is a file, not a folder; choose another path",
  EISDIR: "is a folder; name a file",
  EEXIST: "a part of the path is a file, not a folder; choose another path",
  ENAMETOOLONG: "the name is too long for this file system",
};

/** What an error of a write means to a person; errors that are not the file system's pass through. */
export function writeError(path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const reason = Object.hasOwn(REASONS, code) ? REASONS[code] : undefined;
  return reason === undefined ? error : new FileError(path, reason, { cause: error });
}
