/** Loads koffi before anything of the library, and says so: a damaged one ends the process that loads it. */
import { writeSync } from "node:fs";
import "koffi";
import { KOFFI_LOADED } from "../log-end.ts";

const STDERR = 2;

writeSync(STDERR, `${KOFFI_LOADED}\n`);
