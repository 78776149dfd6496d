/** What a person and a program see of an error, and its exit code. */
import { CommanderError } from "commander";
import { EXIT } from "../errors.ts";
import { printable } from "../plan/printable.ts";
import { fitLines } from "../report/terminal/wrap-words.ts";
import { errorFields } from "./error-fields.ts";
import { printErrorDocument } from "./json-document.ts";
import { linesAreAsked, writeLine } from "./json-lines.ts";
import { messageWidth } from "./terminal-width.ts";

/**
 * Print an error on stderr, and with --json as the document on stdout; return the exit code. The stack of an unexpected
 * one is shown only with PRISM_DEBUG=1.
 */
export function reportError(error: unknown): number {
  // help and version are thrown too
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
  const fields = errorFields(error);
  printErrorDocument(fields);
  if (linesAreAsked()) writeLine({ event: "error", error: fields });
  // commander has printed its message already
  else if (!(error instanceof CommanderError)) say(inWords(fields));
  if (fields.code === "bug" && process.env.PRISM_DEBUG === "1") {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  }
  return fields.exitCode;
}

function inWords({ code, message }: { readonly code: string; readonly message: string }): string {
  if (code !== "bug") return message;
  return `${message}\nthis is a bug in prism; PRISM_DEBUG=1 shows where, please report it with that`;
}

/** Messages carry names from files, which may hold control characters. */
function say(message: string): void {
  const lines = message.split("\n").map(printable);
  const { stderr, env } = process;
  stderr.write(`${fitLines(`prism: ${lines.join("\n")}`, messageWidth(stderr, env))}\n`);
}
