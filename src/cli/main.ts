#!/usr/bin/env node
/**
 * The command line. Every verb is a file in commands/; here they are listed, run, stopped by Ctrl-C, and what they
 * throw becomes one line on stderr and an exit code (EXIT in errors.ts).
 */
import { removeUnderWay } from "../disk/aside-file.ts";
import { EXIT } from "../errors.ts";
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

expectDocument(process.argv.slice(2));
expectLines(process.argv.slice(2));
const interruption = watchSignals();
try {
  const program = await createProgram({ signal: interruption.signal }, process.argv[2]);
  if (process.argv.length > 2) await program.parseAsync(process.argv);
  else program.outputHelp();
} catch (error) {
  if (interruption.signal.aborted) interruption.exit();
  process.exitCode = reportError(error);
}
endText();
if (interruption.signal.aborted) interruption.exit();
