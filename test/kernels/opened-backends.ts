/** Every backend that can be opened here, and why the others can't. */
import { existsSync } from "node:fs";
import type { Backend } from "../../src/kernels/backend.ts";
import { nativeBackend, nativeBackendProblem } from "../../src/kernels/native.ts";
import { referenceBackend } from "../../src/kernels/reference.ts";
import { openTfjsBackend } from "../../src/kernels/tfjs.ts";
import { openWebGpuBackend, type WebGpuOptions } from "../../src/kernels/webgpu.ts";
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
    opened("webgpu", TOLERANCES.webgpu, await openAnyWebGpu()),
    opened("tfjs", TOLERANCES.tfjs, await openTfjsBackend(referenceBackend())),
  ];
}

function opened(name: Backend["name"], tolerances: Tolerances, result: Backend | string): OpenedBackend {
  return { name, tolerances, ...(typeof result === "string" ? { problem: result } : { backend: result }) };
}

/** Debian's chromium-common brings this software GPU; slow and correct. */
const SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json";

/** Open the webgpu backend on SwiftShader where it is, else on whatever there is. */
export async function openAnyWebGpu(options: WebGpuOptions = {}): Promise<Backend | string> {
  if (existsSync(SWIFTSHADER)) process.env.VK_ICD_FILENAMES ??= SWIFTSHADER;
  return openWebGpuBackend(referenceBackend(), options);
}
