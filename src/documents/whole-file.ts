/**
 * A file that a person names, which may be anyone's: a regular one, so that nothing waits for it, and read whole only where
 * it is no longer than such a file gets.
 */
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { FileError } from "../errors.ts";

/** What is known of a file before it is read. */
export interface FileLimit {
  /** With its article, for messages: "a plan". */
  readonly noun: string;
  readonly maxBytes: number;
  /** What to do about another file in its place. */
  readonly remedy: string;
}

/** Bytes read at a time. */
const PIECE_BYTES = 2 ** 24;

/** Open a regular file to read. Throws FileError for what is not there, a folder, a pipe or a device. */
async function openRegular(path: string): Promise<FileHandle> {
  try {
    // before opening, which would wait for a pipe's writer or wake a device
    checkRegular(path, await stat(path));
    // what took the name since is not waited for either
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      checkRegular(path, await file.stat());
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  } catch (error) {
    throw readError(path, error);
  }
}

/** Read a file whole. Throws FileError for no regular file, and for one that is too long, which is not read. */
export function readWhole(path: string, limit: FileLimit): Promise<Buffer> {
  return reading(path, limit, async (file, size) => {
    // one byte more than it has shows the end, and whether it grows
    let bytes = Buffer.allocUnsafeSlow(size + 1);
    for (let length = 0; ; ) {
      const { bytesRead } = await file.read(bytes, length, Math.min(PIECE_BYTES, bytes.length - length), null);
      if (bytesRead === 0) return bytes.subarray(0, length);
      length += bytesRead;
      if (length > limit.maxBytes) throw tooLong(path, "grows while it is read, beyond the bytes", limit);
      // a file of /proc says 0
      if (length === bytes.length) bytes = Buffer.concat([bytes], Math.min(2 * length, limit.maxBytes) + 1);
    }
  });
}

/** The first bytes of a file, fewer where it ends before them. Throws FileError as readWhole does. */
export function readHead(path: string, length: number, limit?: FileLimit): Promise<Buffer> {
  return reading(path, limit, async (file) => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0);
    return buffer.subarray(0, bytesRead);
  });
}

async function reading(
  path: string,
  limit: FileLimit | undefined,
  read: (file: FileHandle, size: number) => Promise<Buffer>,
): Promise<Buffer> {
  const file = await openRegular(path);
  try {
    const { size } = await file.stat();
    if (limit !== undefined && size > limit.maxBytes) throw tooLong(path, `has ${size} bytes, too many`, limit);
    return await read(file, size);
  } catch (error) {
    throw readError(path, error);
  } finally {
    await file.close();
  }
}

function checkRegular(path: string, found: { isFile(): boolean; isDirectory(): boolean }): void {
  if (found.isDirectory()) throw new FileError(path, REASONS.EISDIR as string);
  if (!found.isFile()) throw new FileError(path, "is no regular file (a pipe, a device); save it as a file first");
}

function tooLong(path: string, what: string, { noun, maxBytes, remedy }: FileLimit): FileError {
  return new FileError(path, `${what} for ${noun} (at most ${maxBytes}); ${remedy}`);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file; check the path",
  ENOTDIR: "no such file: a part of the path is not a folder; check the path",
  EISDIR: "is a folder; name a file in it",
  EACCES: "no permission to read it; change its permissions or run as its owner",
  EPERM: "no permission to read it; change its permissions or run as its owner",
  EMFILE: "too many open files; raise the limit (ulimit -n)",
  ELOOP: "its links lead in a circle; name the file itself",
  ENAMETOOLONG: "no such file: the name is too long; check the path",
  ENXIO: "is no regular file (a socket, a device); save it as a file first",
};

/** The error of a person's file that can't be read, in words. */
function readError(path: string, error: unknown): unknown {
  if (error instanceof FileError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  return new FileError(path, REASONS[code] ?? `could not be read: ${message}`, { cause: error });
}
