/** The backends by the name --backend takes. Which of them is the fastest depends on the machine: see `auto`. */
import { BackendError } from "../errors.ts";
import type { Backend } from "./backend.ts";
import { nanosecondsPerWeight } from "./backend-speed.ts";
import { nativeBackend, nativeBackendProblem } from "./native.ts";
import { referenceBackend } from "./reference.ts";
import { GPU_PACKAGE } from "./tfjs/load.ts";
import { openTfjsBackend } from "./tfjs.ts";
import { openWebGpuBackend } from "./webgpu.ts";

/** Open a backend, or say why it can't be used here and, after a semicolon, what to do. */
export type OpenBackend = (threads: number) => Promise<Backend | string>;

export const BACKENDS: ReadonlyMap<string, OpenBackend> = new Map<string, OpenBackend>([
  ["native", async (threads) => nativeBackendProblem() ?? nativeBackend({ threads })],
  ["webgpu", (threads) => onProcessor(threads, (processor) => openWebGpuBackend(processor))],
  ["tfjs", (threads) => onProcessor(threads, (processor) => openTfjsBackend(processor))],
  ["reference", async (threads) => referenceBackend({ threads })],
]);

/** Those that compute on a GPU, opened only where there is one. */
const ON_GPU: readonly OpenBackend[] = [
  (threads) => onProcessor(threads, (processor) => openWebGpuBackend(processor, { onlyHardware: true })),
  (threads) => onProcessor(threads, (processor) => openTfjsBackend(processor, [GPU_PACKAGE], undefined, true)),
];

/** Milliseconds a backend is measured for before `auto` takes one. */
const AUTO_MS = 150;

/**
 * Open the backend of this name. `auto` is the native or the reference backend where no GPU can be used; where one can,
 * it measures both for a moment and takes the faster one. Throws BackendError for a backend that there is not, or that
 * can't be used.
 */
export async function openBackend(name: string, threads: number): Promise<Backend> {
  if (name === "auto") return fastest(threads);
  const open = BACKENDS.get(name);
  const names = ["auto", ...BACKENDS.keys()];
  if (open === undefined) {
    throw new BackendError(
      `--backend ${name}: there is no such backend; leave --backend out, or give one of ${names.join(", ")}`,
    );
  }
  const backend = await open(threads);
  if (typeof backend === "string") throw new BackendError(`--backend ${name}: ${backend}, or leave --backend out`);
  return backend;
}

async function fastest(threads: number): Promise<Backend> {
  let best = openProcessor(threads);
  let bestNs: number | undefined;
  for (const open of ON_GPU) {
    const candidate = await open(threads);
    if (typeof candidate === "string") continue;
    bestNs ??= await nanosecondsPerWeight(best, AUTO_MS);
    const ns = await soundSpeed(candidate);
    const [kept, left] = ns < bestNs ? [candidate, best] : [best, candidate];
    bestNs = Math.min(ns, bestNs);
    best = kept;
    await left.close();
  }
  return best;
}

/** Nanoseconds per weight; infinite where anything went wrong. */
async function soundSpeed(backend: Backend): Promise<number> {
  const { description } = backend;
  try {
    const ns = await nanosecondsPerWeight(backend, AUTO_MS);
    return backend.description === description ? ns : Number.POSITIVE_INFINITY;
  } catch (error) {
    if (error instanceof BackendError) return Number.POSITIVE_INFINITY;
    throw error;
  }
}

/** The backend of the processor, which computes what a device leaves. */
function openProcessor(threads: number): Backend {
  return nativeBackendProblem() === undefined ? nativeBackend({ threads }) : referenceBackend({ threads });
}

/** Open a backend that leaves some of its work to the processor. */
async function onProcessor(
  threads: number,
  open: (processor: Backend) => Promise<Backend | string>,
): Promise<Backend | string> {
  const processor = openProcessor(threads);
  const backend = await open(processor);
  if (typeof backend === "string") await processor.close();
  return backend;
}

/** Notes afterwards how the backend's description changed: a GPU that was lost, calls that were done again. */
export function followDescription(
  backend: Pick<Backend, "name" | "description">,
): (note: (text: string) => void) => void {
  const before = backend.description;
  return (note) => {
    if (backend.description !== before) note(`! backend ${backend.name}: ${backend.description}`);
  };
}
