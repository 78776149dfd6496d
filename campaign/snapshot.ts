/** What a folder holds, with times taken out: equal for two runs that came to the same. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** Relative path → content: texts as they are but for times, other files as their hash. */
export type Snapshot = ReadonlyMap<string, string>;

const TEXT = /\.(json|html|md|csv|svg|sh|ps1|txt)$/;

/** Take times and the time that work took out of a text. Hashes of files that hold such are the file's name: `names`. */
function withoutTimes(text: string, names: ReadonlyMap<string, string>): string {
  return (
    text
      .replace(/\d{4}-\d\d-\d\d(T[\d:.]+Z)?/g, "TIME")
      .replace(/("?elapsedMs"?: ?)[\d.]+/g, "$10")
      .replace(/in \d[\d.,]* (ms|s|min|h)\b/g, "in a while")
      // the folder may be another one, too: out-other stands for out
      .replace(/\bout-[a-z]+\//g, "out/")
      // of a document that holds times
      .replace(/("seal": ?")[0-9a-f]{64}/g, "$1")
      .replace(/sha256-[\w+/]{43}=/g, "sha256-SCRIPT")
      .replace(/\b[0-9a-f]{64}\b/g, (hash) => names.get(hash) ?? hash)
      // 999 ms are a byte less than 1000
      .replace(/("fileBytes": ?)\d+(,\s*"sha256": ?"[^"]+\.(?:json|html|md|csv|svg|sh|ps1|txt)")/g, "$10$2")
  );
}

export async function takeSnapshot(folder: string): Promise<Snapshot> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  const files = await Promise.all(paths.sort().map(async (path) => [path, await readFile(path)] as const));
  const hashes = new Map(files.map(([path, bytes]) => [path, createHash("sha256").update(bytes).digest("hex")]));
  // a text's hash is compared as "that of this file": that it is right is checked so, too
  const names = new Map([...hashes].filter(([path]) => TEXT.test(path)).map(([path, hash]) => [hash, relative(path)]));
  function relative(path: string): string {
    return path.slice(folder.length + 1);
  }
  return new Map(
    files.map(([path, bytes]) => [
      relative(path),
      TEXT.test(path) ? withoutTimes(bytes.toString("utf8"), names) : (hashes.get(path) ?? ""),
    ]),
  );
}

/** How two snapshots differ, in words; undefined where they don't. */
export function differenceOf(expected: Snapshot, found: Snapshot): string | undefined {
  const parts = [
    ...[...expected.keys()].filter((path) => !found.has(path)).map((path) => `${path} is missing`),
    ...[...found.keys()].filter((path) => !expected.has(path)).map((path) => `${path} is left over`),
    ...[...expected].flatMap(([path, text]) => {
      const other = found.get(path);
      return other === undefined || other === text ? [] : [`${path} differs${firstDifference(text, other)}`];
    }),
  ];
  return parts.length === 0 ? undefined : parts.join("; ");
}

function firstDifference(expected: string, found: string): string {
  let at = 0;
  while (at < expected.length && expected[at] === found[at]) at++;
  const around = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 40), at + 60));
  return `: ${around(expected)} became ${around(found)}`;
}
