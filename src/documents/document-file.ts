/** The text of a document's file, which may be anyone's: bounded, and of a regular file, so that nothing waits for it. */
import { open, stat } from "node:fs/promises";
import { FileError } from "../errors.ts";

/** Bytes of the longest document of any kind. */
const MAX_DOCUMENT_BYTES = 2 ** 28;

/** Read a text file. Throws FileError for what is not there, no regular file, or too long. */
export async function readDocumentText(path: string, maxBytes = MAX_DOCUMENT_BYTES): Promise<string> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) throw new FileError(path, REASONS.EISDIR as string);
    if (!found.isFile()) throw new FileError(path, "is no regular file (a pipe, a device); save it as a file first");
    if (found.size > maxBytes) {
      throw new FileError(path, `has ${found.size} bytes, too many for a JSON document (at most ${maxBytes})`);
    }
    const file = await open(path);
    try {
      return await file.readFile("utf8");
    } finally {
      await file.close();
    }
  } catch (error) {
    throw readError(path, error);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file; check the path",
  EISDIR: "is a folder; name a file in it",
  EACCES: "no permission to read it",
  EPERM: "no permission to read it",
};

/** The error of a person's file that can't be read, in words. */
export function readError(path: string, error: unknown): unknown {
  if (error instanceof FileError) return error;
  const { code = "", message } = error as NodeJS.ErrnoException;
  return new FileError(path, REASONS[code] ?? message, { cause: error });
}
