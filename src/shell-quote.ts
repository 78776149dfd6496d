/** Quoting of hostile strings for the shells that recipes are written for. Names and paths come from files. */

/** One word of POSIX sh: everything between single quotes is literal. */
export function quoteSh(text: string): string {
  return `'${text.replaceAll("\0", "").replaceAll("'", "'\\''")}'`;
}

/** A word for a person to type: as it is where every shell takes it for one, else quoted for POSIX sh. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : quoteSh(word);
}

/** One literal string of PowerShell, which takes typographic single quotes for single quotes. */
export function quotePowerShell(text: string): string {
  return `'${text.replaceAll("\0", "").replace(/['\u2018\u2019\u201a\u201b]/g, "$&$&")}'`;
}

/** A path that can't be mistaken for a flag. */
export function pathArgument(path: string): string {
  return path.startsWith("-") ? `./${path}` : path;
}
