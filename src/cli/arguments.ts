/** The command line as it is typed, in the words that the commands have. */
import { COMMANDS } from "./program.ts";

/** `prism help run` is `prism run --help`, and --output is --out. What follows `--` stays as it is. */
export function readArguments(typed: readonly string[]): string[] {
  const [first, verb, ...others] = typed;
  if (first === "help") {
    if (verb === undefined || isOption(verb)) return ["--help", ...typed.slice(1)];
    // what is no command is refused as such
    return COMMANDS.has(verb) ? [verb, "--help", ...others.filter(isOption)] : [verb];
  }
  const end = typed.indexOf("--");
  const options = end < 0 ? typed : typed.slice(0, end);
  return [...options.map((word) => word.replace(/^--output(?==|$)/, "--out")), ...typed.slice(options.length)];
}

function isOption(word: string): boolean {
  return word.startsWith("-");
}
