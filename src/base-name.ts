/** The last part of a path, whichever system wrote it. */
export function baseName(path: string): string {
  return path.replace(/^.*[/\\]/, "");
}
