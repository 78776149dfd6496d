/**
 * What `--json` prints on stdout: exactly one document, whatever happens. The process has one stdout, so this is its one
 * state: whether a document was asked for, and whether it was printed.
 */
import { writeSync } from "node:fs";
import type { ErrorDocument, ErrorFields } from "../documents/error-document.ts";
import { asciiJson } from "../unprintable.ts";
import { PRISM_VERSION } from "../version.ts";

const stdout = { isAsked: false, isPrinted: false, text: "" };

/**
 * Look for --json before the options are parsed: errors of parsing are documents too. What follows `--` is no option. That
 * it may be the value of another one is left out: nothing is called so.
 */
export function expectDocument(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  stdout.isAsked = (end < 0 ? args : args.slice(0, end)).includes("--json");
  return stdout.isAsked;
}

/** Print the document of a command. */
export function printDocument(document: unknown): void {
  stdout.isPrinted = true;
  process.stdout.write(written(document));
}

/** Help and version are no result: text, which is a document only where one was asked for (endText). */
export function writeText(text: string): void {
  if (stdout.isAsked) stdout.text += text;
  else process.stdout.write(text);
}

/** All such text is written. */
export function endText(): void {
  if (stdout.text !== "" && !stdout.isPrinted) printDocument({ text: stdout.text });
}

/** Print the error in the place of a result, where a document was asked for and none was printed. The process may end at once after it. */
export function printErrorDocument(error: ErrorFields): void {
  if (!stdout.isAsked || stdout.isPrinted) return;
  stdout.isPrinted = true;
  const document: ErrorDocument = { schema: "prism.error/1", prismVersion: PRISM_VERSION, error };
  try {
    writeSync(process.stdout.fd, written(document));
  } catch {
    // the reader went away, or is slow: the exit code and stderr say it too
  }
}

function written(document: unknown): string {
  return `${asciiJson(JSON.stringify(document, null, 2))}\n`;
}
