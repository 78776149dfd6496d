/** Text and documents without the folders of the machine they were made on. */
import { homedir } from "node:os";
import { dirname, isAbsolute, resolve } from "node:path";

/** A folder from the root of a system on, in the middle of a text: /a/b/, C:\a\, but no part of a web address or a pattern. */
const ROOTED = /(?<![\w.:/\\~])(?:[A-Za-z]:[\\/]|\\\\|\/{1,2})(?:[^\\/\s"'`:;,()]+[\\/])+/g;

/** A text in which files have their names alone. `folders` are those that are known, spaces in them included. */
export function withoutFoldersIn(text: string, folders: readonly string[]): string {
  const known = [...new Set(folders.flatMap(spellings))].sort((one, other) => other.length - one.length);
  return known.reduce((left, folder) => left.replaceAll(folder, ""), text).replace(ROOTED, "");
}

function spellings(folder: string): string[] {
  if (folder === "" || folder === ".") return [];
  const bare = folder.replace(/[\\/]+$/, "");
  return bare === "" ? [] : [`${bare}/`, `${bare}\\`];
}

/** The folders that paths of a document may lie in: theirs, the working folder and the user's own. */
export function foldersOf(paths: readonly string[]): string[] {
  const named = paths.flatMap((path) => (isAbsolute(path) ? [dirname(path)] : [dirname(path), dirname(resolve(path))]));
  return [...named, process.cwd(), homedir()];
}

/** The same document with every text in it changed. */
export function mapTexts<Document>(document: Document, change: (text: string) => string): Document {
  const map = (value: unknown): unknown => {
    if (typeof value === "string") return change(value);
    if (Array.isArray(value)) return value.map(map);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, content]) => [key, map(content)]));
  };
  return map(document) as Document;
}
