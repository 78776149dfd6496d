/**
 * Bytes at positions: the one interface everything of a model is read through. Local files here, remote ones in
 * http-source.ts.
 */
import { type FileHandle, open, stat } from "node:fs/promises";
import { FileError, FormatError } from "../errors.ts";
import { type FileChange, type FileRevision, fileChange, fileRevision, revisionText } from "./file-revision.ts";

export interface ByteSource {
  readonly path: string;
  readonly byteLength: number;
  /** Differs between contents that were under this name one after another; absent where nothing tells them apart. */
  readonly revision?: string;
  /** Exactly `bytes` bytes from `offset`. Throws FormatError where the source ends before them. */
  read(offset: number, bytes: number): Promise<Uint8Array>;
  /** What became of a file of this machine since it was opened; undefined: nothing. A server is asked for one version. */
  change?(): Promise<FileChange | undefined>;
  /** Take the file as it is now for the one that was opened: its content is known to be the same. */
  settle?(): Promise<void>;
  close(): Promise<void>;
}

/** One read call of the operating system moves less than 2 GiB. */
const MAX_READ_BYTES = 1 << 30;

/** Open a local file for reading at positions. Throws FileError where it is missing, not a file or not readable. */
export async function openFileSource(path: string): Promise<ByteSource> {
  try {
    // Before opening: opening a pipe would wait for a writer.
    const status = await stat(path, { bigint: true });
    if (status.isDirectory()) throw new FileError(path, "is a directory; name the .gguf file in it");
    if (!status.isFile()) throw new FileError(path, "is not a regular file; name a .gguf file on disk");
    const handle = await open(path, "r");
    return new FileSource(path, fileRevision(await handle.stat({ bigint: true })), handle);
  } catch (error) {
    throw error instanceof FileError ? error : readError(path, error as NodeJS.ErrnoException);
  }
}

class FileSource implements ByteSource {
  readonly path: string;
  readonly byteLength: number;
  readonly revision: string;
  readonly #handle: FileHandle;
  #opened: FileRevision;

  constructor(path: string, opened: FileRevision, handle: FileHandle) {
    this.path = path;
    this.byteLength = Number(opened.size);
    this.revision = revisionText(opened);
    this.#opened = opened;
    this.#handle = handle;
  }

  async read(offset: number, bytes: number): Promise<Uint8Array> {
    if (offset < 0 || bytes < 0 || offset + bytes > this.byteLength) throw this.#shortRead(offset, bytes, undefined);
    const data = Buffer.allocUnsafeSlow(bytes);
    let done = 0;
    while (done < bytes) {
      const piece = Math.min(bytes - done, MAX_READ_BYTES);
      const { bytesRead } = await this.#handle.read(data, done, piece, offset + done).catch((error: unknown) => {
        throw readError(this.path, error as NodeJS.ErrnoException);
      });
      if (bytesRead === 0) throw this.#shortRead(offset, bytes, done);
      done += bytesRead;
    }
    return new Uint8Array(data.buffer, data.byteOffset, bytes);
  }

  /** By its name, which is what the engine opens. */
  async change(): Promise<FileChange | undefined> {
    return fileChange(this.path, this.#opened, await this.#look());
  }

  async settle(): Promise<void> {
    this.#opened = (await this.#look()) ?? this.#opened;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #look(): Promise<FileRevision | undefined> {
    const found = await stat(this.path, { bigint: true }).catch(() => undefined);
    return found && fileRevision(found);
  }

  #shortRead(offset: number, bytes: number, got: number | undefined): FormatError {
    const wanted = `gguf: expected ${formatCount(bytes)} bytes at ${formatCount(offset)}`;
    return new FormatError(
      this.path,
      got === undefined
        ? `${wanted} but the file has ${formatCount(this.byteLength)}; the download is probably truncated`
        : `${wanted}, got ${formatCount(got)}; the file shrank while it was read`,
      { offset, finding: "truncated" },
    );
  }
}

function readError(path: string, error: NodeJS.ErrnoException): FileError {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "no such file; check the path",
    ENOTDIR: "no such file: a part of the path is not a directory; check the path",
    EACCES: "no permission to read it; change its permissions or run as its owner",
    EPERM: "no permission to read it; change its permissions or run as its owner",
    EMFILE: "too many open files; raise the limit (ulimit -n)",
  };
  return new FileError(path, reasons[error.code ?? ""] ?? `could not be read: ${error.message}`, { cause: error });
}

/** A count with thousands separators, as messages show bytes and offsets. */
export function formatCount(n: number | bigint): string {
  return n.toLocaleString("en-US");
}
