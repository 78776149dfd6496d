/** The command a person should type next, with the real file names. */
import { quoteWord } from "../shell-quote.ts";

/** Write a command line; words a shell would take apart are quoted. */
export function nextCommand(...words: readonly string[]): string {
  return words.map((word) => (isWindowsPath(word) ? word : quoteWord(word))).join(" ");
}

/** No shell of Windows takes a backslash for more than a character. */
function isWindowsPath(word: string): boolean {
  return process.platform === "win32" && /^[\w@%+=:,./\\-]+$/.test(word);
}
