/** Room on the disk for a model: asked for before the work, and found to be the cause after a failure. */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { type EngineError, FileError } from "../errors.ts";

/** Bytes of disk left free beside the output. */
const SPARE_BYTES = 16 * 2 ** 20;
/** Under this many free bytes a failed write is taken for the disk's fault. */
const FULL_BYTES = 2 ** 20;

/** Throws FileError where `folder`'s disk has no room for `bytes` at `path`. Disks that can't be asked pass. */
export async function checkFreeSpace(path: string, folder: string, bytes: number): Promise<void> {
  const free = await freeBytes(folder);
  if (free === undefined || free >= bytes + SPARE_BYTES) return;
  throw new FileError(
    path,
    `needs ${count(bytes)} bytes and ${count(SPARE_BYTES)} to spare, but the disk of ${folder} has ${count(free)} free; free some or choose another folder`,
  );
}

/** What an engine's failure while it wrote `aside` (for `path`) was, if the disk is full; else undefined. */
export async function diskFullError(path: string, aside: string, cause: EngineError): Promise<FileError | undefined> {
  const free = await freeBytes(dirname(aside));
  if (free === undefined || free >= FULL_BYTES) return undefined;
  return new FileError(path, "no space left on the disk; free some or choose another folder", { cause });
}

async function freeBytes(folder: string): Promise<number | undefined> {
  const disk = await statfs(folder).catch(() => undefined);
  return disk === undefined ? undefined : disk.bavail * disk.bsize;
}

function count(bytes: number): string {
  return bytes.toLocaleString("en-US");
}
