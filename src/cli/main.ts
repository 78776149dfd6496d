#!/usr/bin/env node
/**
 * The command line. Every verb is a file in commands/; here they are listed, run, stopped by Ctrl-C, and what they
 * throw becomes one line on stderr and an exit code (EXIT in errors.ts).
 */
import { removeUnderWay } from "../disk/aside-file.ts";
import { EXIT } from "../errors.ts";
import { readArguments } from "./arguments.ts";
import { reportError } from "./failure.ts";
import { watchSignals } from "./interrupt.ts";
import { endText, expectDocument } from "./json-document.ts";
import { expectLines } from "./json-lines.ts";
import { createProgram } from "./program.ts";

/** A reader that went away (`prism show plan.json | head -3`) is no error, and nothing is left to say to it. */
function endQuietlyWithReader(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
  removeUnderWay();
  process.exit(process.exitCode ?? EXIT.ok);
}

process.stdout.on("error", endQuietlyWithReader);
process.stderr.on("error", endQuietlyWithReader);
process.on("uncaughtException", (error) => {
  removeUnderWay();
  process.exit(reportError(error));
});

const words = readArguments(process.argv.slice(2));
expectDocument(words);
expectLines(words);
const interruption = watchSignals();
try {
  const program = await createProgram({ signal: interruption.signal }, words[0]);
  if (words.length > 0) await program.parseAsync(words, { from: "user" });
  else program.outputHelp();
} catch (error) {
  if (interruption.signal.aborted) interruption.exit();
  process.exitCode = reportError(error);
}
endText();
if (interruption.signal.aborted) interruption.exit();
