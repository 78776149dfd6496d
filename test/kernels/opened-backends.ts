/** Every backend that can be opened here, and why the others can't. */
import type { Backend } from "../../src/kernels/backend.ts";
import { nativeBackend, nativeBackendProblem } from "../../src/kernels/native.ts";
import { referenceBackend } from "../../src/kernels/reference.ts";
import { openTfjsBackend } from "../../src/kernels/tfjs.ts";
import { TOLERANCES, type Tolerances } from "./tolerances.ts";

export interface OpenedBackend {
  readonly name: Backend["name"];
  readonly tolerances: Tolerances;
  readonly backend?: Backend;
  readonly problem?: string;
}

/** Open them all, on one or two threads; the caller closes them. */
export async function openedBackends(): Promise<OpenedBackend[]> {
  const native = nativeBackendProblem();
  return [
    { name: "reference", tolerances: TOLERANCES.reference, backend: referenceBackend() },
    opened("native", TOLERANCES.native, native ?? nativeBackend({ threads: 2 })),
    opened("tfjs", TOLERANCES.tfjs, await openTfjsBackend(referenceBackend())),
  ];
}

function opened(name: Backend["name"], tolerances: Tolerances, result: Backend | string): OpenedBackend {
  return { name, tolerances, ...(typeof result === "string" ? { problem: result } : { backend: result }) };
}
