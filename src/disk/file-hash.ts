/** SHA-256 of whole files, read in pieces. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";

/** Bytes read at a time: hashing is bound by the processor from here on. */
const PIECE_BYTES = 2 ** 20;

/** The SHA-256 of a file in hexadecimal digits, as sha256sum prints it. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES })) hash.update(piece as Buffer);
  return hash.digest("hex");
}
