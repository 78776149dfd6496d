/** The text of a document's file. */
import { isUtf8 } from "node:buffer";
import { FormatError } from "../errors.ts";
import { type FileLimit, readWhole } from "./whole-file.ts";

/** Longer than any document gets, of whichever kind. */
const ANY: FileLimit = { noun: "a JSON document", maxBytes: 2 ** 28, remedy: "give a document of PRISM" };

/** Read the text of a document. Throws FileError for no regular file or one too long, FormatError for other bytes. */
export async function readDocumentText(path: string, limit = ANY): Promise<string> {
  const bytes = await readWhole(path, limit);
  if (isUtf8(bytes)) return bytes.toString("utf8");
  const { noun, remedy } = limit;
  const why = isUtf16(bytes)
    ? "is UTF-16, expected UTF-8: save it again as that"
    : `is not UTF-8 text, expected ${noun}`;
  throw new FormatError(path, `${why}; ${remedy}`);
}

/** By its byte order mark: what PowerShell's `>` writes. */
function isUtf16(bytes: Uint8Array): boolean {
  return (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
}
