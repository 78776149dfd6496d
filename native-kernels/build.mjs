/**
 * Compile the library of this checkout, after `npm run build`: `node native-kernels/build.mjs [--optional]`, done again
 * only where a source changed or the library is damaged. With --optional a machine without a C++ compiler is told so in one line and goes on; a
 * compiler that fails is a failure everywhere.
 */
import { existsSync } from "node:fs";
import { compileHere } from "../dist/kernels/compile-kernels.js";
import { compiledDamage } from "../dist/kernels/find-library.js";
import { builtPath } from "../dist/kernels/kernel-files.js";

const output = builtPath();
const isThere = existsSync(output) && compiledDamage(output) === undefined;
const compiled = isThere ? { ok: true, warnings: "" } : await compileHere({ output });
if (compiled.ok) process.stderr.write(compiled.warnings);
else {
  const skipped = compiled.noCompiler && process.argv.includes("--optional");
  process.stderr.write(
    skipped
      ? `native kernels skipped: ${compiled.problem}; PRISM uses its reference backend, which is slower\n`
      : `the native kernels don't build: ${compiled.problem}\n`,
  );
  if (!skipped) process.exitCode = 1;
}
