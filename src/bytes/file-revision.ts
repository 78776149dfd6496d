/**
 * Which content a file of this machine has, without reading it: its place on the disk, its size and its times. Rewriting
 * a file changes its ctime, which no program can set; replacing it changes its inode.
 */
import type { BigIntStats } from "node:fs";

export interface FileRevision {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** How a file differs from what it was. */
export interface FileChange {
  readonly path: string;
  /** "was replaced by another file", say. */
  readonly words: string;
  /** False: only its attributes are known to differ (a link to it was made, its permissions changed); its content may not. */
  readonly isCertain: boolean;
}

export function fileRevision({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileRevision {
  return { dev, ino, size, mtimeNs, ctimeNs };
}

export function revisionText({ dev, ino, size, mtimeNs, ctimeNs }: FileRevision): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(":");
}

/** What happened between two looks at `path`; `now` is undefined where there is no file any more. */
export function fileChange(path: string, before: FileRevision, now: FileRevision | undefined): FileChange | undefined {
  const certain = (words: string) => ({ path, words, isCertain: true });
  if (now === undefined) return certain("is no longer there");
  if (now.dev !== before.dev || now.ino !== before.ino) return certain("was replaced by another file");
  if (now.size !== before.size) {
    const verb = now.size < before.size ? "shrank" : "grew";
    return certain(`${verb} from ${before.size.toLocaleString("en-US")} to ${now.size.toLocaleString("en-US")} bytes`);
  }
  if (now.mtimeNs !== before.mtimeNs) return certain("was written to");
  if (now.ctimeNs !== before.ctimeNs) return { path, words: "was touched", isCertain: false };
  return undefined;
}
