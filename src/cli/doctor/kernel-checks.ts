/** The native kernels: came with the package, were compiled on this machine, or TypeScript stands in for them. */
import { compileMissingKernels } from "../../kernels/compile-kernels.ts";
import { findLibrary } from "../../kernels/find-library.ts";
import { openLibrary } from "../../kernels/native-library.ts";
import { selfCheckProblem } from "../../kernels/native-self-check.ts";
import type { Check } from "./check.ts";

const NAME = "native kernels";

/** Say which of the three this machine uses. Compiles them where that can help, also after it failed before. */
export async function kernelChecks(note: (text: string) => void, signal: AbortSignal): Promise<Check[]> {
  await compileMissingKernels({ note, signal, again: true });
  const library = openLibrary();
  const problem = typeof library === "string" ? library : selfCheckProblem(library);
  if (problem !== undefined) {
    const split = problem.lastIndexOf("; ");
    const detail = `TypeScript: ${problem.slice(0, split)}`;
    return [{ name: NAME, status: "absent", detail, remedy: problem.slice(split + 2) }];
  }
  const found = findLibrary();
  if (typeof found === "string") throw new Error("a library is open that was not found");
  const how = found.origin === "prebuilt" ? "prebuilt" : "compiled here";
  return [{ name: NAME, status: "ok", detail: `${how}: ${found.path}` }];
}
