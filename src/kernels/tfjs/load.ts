/** The TensorFlow.js package that is installed: tfjs-node-gpu, tfjs-node or tfjs, the first that loads. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import type * as TensorFlow from "@tensorflow/tfjs";

export type Tf = typeof TensorFlow;

export interface LoadedTf {
  readonly tf: Tf;
  readonly packageName: string;
  /** Whether it computes on a GPU. */
  readonly onGpu: boolean;
}

/** The package that computes on a GPU in Node. */
export const GPU_PACKAGE = "@tensorflow/tfjs-node-gpu";
/** Those with a native addon: a damaged one ends the process that loads it. */
const NATIVE: readonly string[] = [GPU_PACKAGE, "@tensorflow/tfjs-node"];
export const PACKAGES: readonly string[] = [...NATIVE, "@tensorflow/tfjs"];

export type Import = (name: string) => Promise<unknown>;

/** Loading libtensorflow and starting CUDA takes seconds; what takes longer hangs. */
const TRY_MS = 120_000;

const importTried: Import = async (name) => {
  const crash = NATIVE.includes(name) ? await crashOf(name) : undefined;
  if (crash !== undefined) throw new Error(crash);
  return import(name);
};

/**
 * How a process of its own crashed that loaded a package, found as a module at `from` would find it. Undefined where it
 * did not; other errors are for who loads it.
 */
export function crashOf(name: string, from = import.meta.url): Promise<string | undefined> {
  let entry: string;
  try {
    entry = pathToFileURL(createRequire(from).resolve(name)).href;
  } catch {
    return Promise.resolve(undefined);
  }
  const script = `const tf = await import(${JSON.stringify(entry)}); await (tf.default ?? tf).ready();`;
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
      stdio: "ignore",
      timeout: TRY_MS,
      killSignal: "SIGKILL",
    });
    child.on("error", (error) => resolve(error.message));
    child.on("close", (_, signal) =>
      resolve(signal === null ? undefined : `crashed (${signal}) when it was tried in a process of its own`),
    );
  });
}

/** Load the first of the packages that loads, or say why none does and, after a semicolon, what to do. */
export async function loadTf(
  packages: readonly string[] = PACKAGES,
  load: Import = importTried,
): Promise<LoadedTf | string> {
  // TensorFlow rounds factors to 10 bits on tensor cores (TF32) unless told not to; read when CUDA starts.
  process.env.NVIDIA_TF32_OVERRIDE ??= "0";
  const failures: string[] = [];
  for (const packageName of packages) {
    try {
      const tf = withoutDefault(await load(packageName));
      // Otherwise tfjs greets whoever runs it in plain JavaScript.
      tf.enableProdMode();
      await tf.ready();
      return { tf, packageName, onGpu: isOnGpu(tf) };
    } catch (error) {
      if (!isAbsent(error, packageName)) failures.push(`${packageName} does not load (${firstLine(error)})`);
    }
  }
  const reason = failures.length > 0 ? failures.join(", ") : "no TensorFlow.js package is installed";
  return `${reason}; npm install ${GPU_PACKAGE} where prism is installed, or another of ${packages.join(", ")}`;
}

/** CommonJS packages whose names Node can't list come as `default`. */
function withoutDefault(module: unknown): Tf {
  const { default: inner, ...names } = module as Tf & { readonly default?: Tf };
  return inner !== undefined && !("matMul" in names) ? inner : (module as Tf);
}

/** Not installed at all, which is not the same as missing something of its own. */
function isAbsent(error: unknown, packageName: string): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === "ERR_MODULE_NOT_FOUND" && message.includes(`'${packageName}'`);
}

/** tfjs-node says so itself; tfjs computes on one through WebGL or WebGPU. */
function isOnGpu(tf: Tf): boolean {
  const backend: object = tf.backend();
  if ("isUsingGpuDevice" in backend) return backend.isUsingGpuDevice === true;
  return ["webgl", "webgpu"].includes(tf.getBackend());
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
