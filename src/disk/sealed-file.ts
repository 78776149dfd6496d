/**
 * Files that PRISM keeps for itself, with a checksum in their first line: over the name too, so that one file put in the
 * place of another is not believed. What is damaged is removed, said, and made again by whoever asked for it.
 */
import { createHash } from "node:crypto";
import { readFile, rm, utimes, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { writeAside } from "./aside-file.ts";

/** Write aside and rename, under a seal. */
export async function writeSealed(path: string, content: string | Uint8Array): Promise<void> {
  const bytes = Buffer.from(content);
  await writeAside(path, (aside) => writeFile(aside, Buffer.concat([Buffer.from(sealLine(path, bytes)), bytes])));
}

/** What lies under an unbroken seal; undefined where there is nothing, or, said to `onDamage`, something else. */
export async function readSealed(path: string, onDamage: (text: string) => void): Promise<Buffer | undefined> {
  const found = await readFile(path).catch(() => undefined);
  if (found === undefined) return undefined;
  const end = found.indexOf("\n") + 1;
  const content = found.subarray(end);
  if (found.toString("latin1", 0, end) === sealLine(path, content)) {
    await touchUsed(path);
    return content;
  }
  await removeDamaged(path, onDamage);
  return undefined;
}

/** Note the time of the last use; a cache that can only be read serves all the same. */
export async function touchUsed(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
}

export async function removeDamaged(path: string, onDamage: (text: string) => void): Promise<void> {
  await rm(path, { force: true }).catch(() => undefined);
  onDamage(`! ${path} is damaged (its checksum is another): made again`);
}

export function sealLine(path: string, content: Uint8Array): string {
  return `sha256 ${createHash("sha256")
    .update(`${basename(path)}\n`)
    .update(content)
    .digest("hex")}\n`;
}
