/**
 * Calls the built program many times in one process. The calls come as JSON in the file that is named, a list of argument
 * lists; each outcome is a line of JSON on stdout. After a call that does not end nothing more is tried.
 */
import { readFileSync, writeSync } from "node:fs";
import { reportError } from "../../dist/cli/failure.js";
import { createProgram } from "../../dist/cli/program.js";

const [, , path, limitMs] = process.argv;

/** What the program writes. */
let said = "";
for (const stream of [process.stdout, process.stderr]) {
  stream.write = (text) => {
    said += text;
    return true;
  };
}

async function call(args) {
  try {
    const program = await createProgram({ signal: new AbortController().signal }, args[0]);
    await program.parseAsync(["node", "prism", ...args]);
    return 0;
  } catch (error) {
    return reportError(error);
  }
}

for (const args of JSON.parse(readFileSync(path, "utf8"))) {
  said = "";
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, Number(limitMs), "no end");
  });
  const code = await Promise.race([call(args), late]);
  clearTimeout(timer);
  writeSync(1, `${JSON.stringify({ code, said, peakBytes: process.resourceUsage().maxRSS * 1024 })}\n`);
  if (code === "no end") break;
}
process.exit();
