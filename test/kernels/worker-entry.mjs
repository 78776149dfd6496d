// Runs the worker's TypeScript source in a thread, where Node alone would only take a build.
import { tsImport } from "tsx/esm/api";

await tsImport("../../src/kernels/reference/worker.ts", import.meta.url);
