/**
 * The GPU that npm's `webgpu` package (Dawn: Vulkan, Metal or Direct3D 12) finds. It is looked for in a child process first:
 * a driver that crashes then takes nothing with it, and what Dawn and the loader write to stderr where there is no GPU is
 * not shown.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { BackendError } from "../../errors.ts";

/** Milliseconds that finding an adapter may take. */
const PROBE_MS = 30_000;

/** What Linux has where a GPU could be: DRM, NVIDIA's driver, AMD's, and WSL's. */
const LINUX_DEVICES = ["/dev/dri", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg"];

/** Programs that stand in for a GPU, where the driver does not say it itself. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render|software/i;

export interface AdapterFound {
  /** "NVIDIA GeForce RTX 4090 (nvidia, ada)". */
  readonly name: string;
  /** Whether the processor only plays a GPU: SwiftShader, lavapipe, WARP. */
  readonly software: boolean;
}

export type OpenGpu = () => Promise<GPU>;

export const openDawn: OpenGpu = async () => (await import("webgpu")).create([]);

/** Find the adapter of this machine, or say why there is none and, after a semicolon, what to do. */
export async function findAdapter(): Promise<AdapterFound | string> {
  let dawn: string;
  try {
    dawn = pathToFileURL(createRequire(import.meta.url).resolve("webgpu")).href;
  } catch {
    return "the package webgpu is not installed; npm install webgpu where prism is installed";
  }
  const answer = await ask(`
    try {
      const { create } = await import(${JSON.stringify(dawn)});
      const adapter = await create([]).requestAdapter({ powerPreference: "high-performance" });
      const { vendor, architecture, device, description, isFallbackAdapter } = adapter?.info ?? {};
      process.send({ info: adapter && { vendor, architecture, device, description, isFallbackAdapter } });
    } catch (error) {
      process.send(String(error.message).split("\\n")[0]);
    }`);
  if (typeof answer === "string") {
    return `looking for a GPU ended with: ${answer}; update its driver, or install the package webgpu again`;
  }
  if (answer.info === null) {
    return "no GPU that WebGPU can use was found; install its driver (on Linux with Vulkan, and libvulkan1)";
  }
  return describe(answer.info);
}

interface Answer {
  readonly info: Partial<GPUAdapterInfo> | null;
}

/** Run a script in a child process whose output goes nowhere: the message it sends, or how it failed. */
function ask(script: string): Promise<Answer | string> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      timeout: PROBE_MS,
    });
    child.on("message", (answer) => resolve(answer as Answer | string));
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
}

/** Whether there may be a GPU: where not, none needs to be looked for. */
export function mayHaveGpu(): boolean {
  return process.platform !== "linux" || LINUX_DEVICES.some((path) => existsSync(path));
}

function describe(info: Partial<GPUAdapterInfo>): AdapterFound {
  const { vendor = "", architecture = "", device = "", description = "", isFallbackAdapter = false } = info;
  const name = description || device || "unnamed adapter";
  const maker = [vendor, architecture].filter((part) => part !== "").join(", ");
  return {
    name: maker === "" ? name : `${name} (${maker})`,
    software: isFallbackAdapter || SOFTWARE.test([vendor, architecture, device, description].join(" ")),
  };
}

export interface OpenedDevice {
  /** Whoever holds the device holds this too: Dawn crashes when it is collected while the device computes. */
  readonly gpu: GPU;
  readonly device: GPUDevice;
}

/** Open the adapter's device with buffers and bindings as large as it allows. Throws BackendError where it does not. */
export async function openDevice(open: OpenGpu): Promise<OpenedDevice> {
  const gpu = await open();
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw new BackendError("webgpu backend: the GPU that was there a moment ago is gone");
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
  return { gpu, device };
}
