/** The command a person should type next, with the real file names. */

/** Write a command line; words a shell would take apart are quoted. */
export function nextCommand(...words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./\\-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
}
