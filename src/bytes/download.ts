/**
 * A remote file whole, on this disk: fetched by ranges into a file aside, gone on with after an interruption, held against
 * the size and the SHA-256 that the server states, and renamed.
 */
import { open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileExists, makeFolder, writeError } from "../disk/aside-file.ts";
import { cacheKey } from "../disk/cache-key.ts";
import { hashFile } from "../disk/file-hash.ts";
import { checkFreeSpace } from "../disk/free-space.ts";
import { FileError } from "../errors.ts";
import { createWorkQueue } from "../work-queue.ts";
import { type ConnectionOptions, HttpConnection } from "./http/connection.ts";
import type { HttpTarget } from "./http/range-request.ts";

/** Bytes of a request, and requests at a time: what is in memory at most, and lost when it is interrupted. */
const PIECE_BYTES = 4 << 20;
const WIDTH = 8;

export interface DownloadOptions extends ConnectionOptions {
  /** Called as the file grows. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Called with what a person should know. */
  readonly onNote?: (text: string) => void;
}

export interface Downloaded {
  readonly sha256: string;
  /** The commit that a revision on the Hub was. */
  readonly commit?: string;
}

/**
 * Have the file of `target` at the path that `placeOf` gives for its version; one that stands there is taken, if it is
 * what the server has. Throws FileError where it can't be fetched, is not what the server states, or has no room.
 */
export async function downloadFile(
  target: HttpTarget,
  placeOf: (validator: string) => string,
  options: DownloadOptions = {},
): Promise<Downloaded & { readonly path: string; readonly validator: string }> {
  const { onNote = () => undefined } = options;
  const connection = new HttpConnection(target, createWorkQueue(WIDTH), options);
  const { totalBytes, validator, strong, stated = {} } = await connection.open();
  let once: string | undefined;
  try {
    if (stated.bytes !== undefined && stated.bytes !== totalBytes) {
      throw new FileError(
        target.path,
        `the server states ${stated.bytes} bytes and has ${totalBytes}; try again later`,
      );
    }
    const path = placeOf(stated.sha256 ?? validator);
    const commit = stated.commit === undefined ? {} : { commit: stated.commit };
    if (await fileExists(path)) {
      const sha256 = await hashFile(path);
      const isSame = (await stat(path)).size === totalBytes && (stated.sha256 ?? sha256) === sha256;
      if (isSame) return { path, validator, sha256, ...commit };
      onNote(`${path} is not what the server has: fetched again`);
    }
    await makeFolder(dirname(path));
    // a weak validator may stay the same when bytes change: then nothing is gone on with
    const kept = strong || stated.sha256 !== undefined ? cacheKey([stated.sha256 ?? validator]) : undefined;
    const aside = join(dirname(path), `.${basename(path)}.${kept ?? `once-${process.pid}`}.part`);
    if (kept === undefined) once = aside;
    await fetchInto(aside, connection, totalBytes, path, options);
    const sha256 = await hashFile(aside);
    if (stated.sha256 !== undefined && sha256 !== stated.sha256) {
      await rm(aside, { force: true });
      throw new FileError(
        target.path,
        `what was fetched has SHA-256 ${sha256}, the server states ${stated.sha256}: it was deleted; try again`,
      );
    }
    await rename(aside, path);
    return { path, validator, sha256, ...commit };
  } catch (error) {
    if (once !== undefined) await rm(once, { force: true });
    throw writeError(target.path, error);
  } finally {
    connection.close();
  }
}

/** Append what is missing, in order: what a part file has is whole up to its end. */
async function fetchInto(
  aside: string,
  connection: HttpConnection,
  totalBytes: number,
  path: string,
  { onProgress }: DownloadOptions,
): Promise<void> {
  const file = await open(aside, "a+");
  try {
    let done = (await file.stat()).size;
    if (done > totalBytes) {
      await file.truncate(0);
      done = 0;
    }
    await checkFreeSpace(path, dirname(path), totalBytes - done);
    const pieces: Promise<Uint8Array>[] = [];
    let asked = done;
    const ask = () => {
      const bytes = Math.min(PIECE_BYTES, totalBytes - asked);
      if (bytes <= 0) return;
      const piece = connection.range(asked, bytes);
      // waited for in its turn
      piece.catch(() => undefined);
      pieces.push(piece);
      asked += bytes;
    };
    for (let count = 0; count < WIDTH; count++) ask();
    for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) {
      const data = await piece;
      ask();
      await file.appendFile(data);
      done += data.length;
      onProgress?.(done, totalBytes);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
