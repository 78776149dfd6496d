/** The command a person should type next, with the real file names. */
import { quoteWord } from "../shell-quote.ts";

/** Write a command line; words a shell would take apart are quoted. */
export function nextCommand(...words: readonly string[]): string {
  return words.map(quoteWord).join(" ");
}
