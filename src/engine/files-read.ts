/**
 * The files that calls of the engine read, as they were when that began. llama.cpp maps a model: where the file loses
 * its end meanwhile, the process that reads it dies of SIGBUS and can't say which file it was.
 */
import { statSync } from "node:fs";
import { FileError } from "../errors.ts";
import { parseShardName, shardPath } from "../gguf/shards.ts";

interface FileRead {
  readonly path: string;
  readonly inode: number;
  readonly size: number;
  /** Absent where PRISM itself writes to it. */
  readonly mtimeMs?: number;
}

export type FilesRead = readonly FileRead[];

/** A model as it is now, with all its shards. A file that isn't there is left out. `writable`: PRISM writes to it. */
export function noteModel(model: string, { writable = false } = {}): FilesRead {
  return shardsOf(model).flatMap((path): FileRead[] => {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return [];
    const { ino: inode, size, mtimeMs } = stats;
    return [{ path, inode, size, ...(writable ? {} : { mtimeMs }) }];
  });
}

function shardsOf(path: string): string[] {
  const name = parseShardName(path);
  if (name === undefined) return [path];
  return Array.from({ length: name.count }, (_, index) => shardPath(name.prefix, index + 1, name.count));
}

const REMEDY =
  "leave a file alone that is in use, or write a new one and rename it over the old; then give the command again";

/**
 * Why reading failed by `cause`: a file that shrank since or, where the process `crashed`, was written to. Undefined
 * where all are as they were. One that was replaced by a rename is still read as it was.
 */
export function changeOf(files: FilesRead, crashed: boolean, cause: Error): FileError | undefined {
  for (const { path, inode, size, mtimeMs } of files) {
    const now = statSync(path, { throwIfNoEntry: false });
    if (now === undefined || now.ino !== inode) continue;
    if (now.size < size) {
      return new FileError(path, `shrank from ${size} to ${now.size} bytes while it was read; ${REMEDY}`, { cause });
    }
    if (crashed && mtimeMs !== undefined && now.mtimeMs !== mtimeMs) {
      return new FileError(path, `was written to while it was read; ${REMEDY}`, { cause });
    }
  }
  return undefined;
}
