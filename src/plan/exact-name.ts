/** A regular expression (source) that matches this tensor name and no other. */
export function exactName(name: string): string {
  return `^${name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}$`;
}
