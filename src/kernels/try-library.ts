/**
 * A process that loads one library and checks it, and ends: exit code 0, or 1 with the problem on stdout; a crash ends
 * it instead of who asked.
 */
import { writeSync } from "node:fs";
import { KOFFI_LOADED } from "./find-library.ts";
import { loadKoffi } from "./koffi.ts";
import { loadLibrary } from "./native-library.ts";
import { selfCheckProblem } from "./native-self-check.ts";

loadKoffi();
writeSync(1, KOFFI_LOADED);
const library = loadLibrary(process.argv[2] ?? "");
const problem = typeof library === "string" ? library : selfCheckProblem(library);
if (problem !== undefined) {
  writeSync(1, problem);
  process.exitCode = 1;
}
