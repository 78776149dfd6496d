/** The TensorFlow.js package that is installed: tfjs-node-gpu, tfjs-node or tfjs, the first that loads. */
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
export const PACKAGES: readonly string[] = [GPU_PACKAGE, "@tensorflow/tfjs-node", "@tensorflow/tfjs"];

export type Import = (name: string) => Promise<unknown>;

/** Load the first of the packages that loads, or say why none does and, after a semicolon, what to do. */
export async function loadTf(
  packages: readonly string[] = PACKAGES,
  load: Import = (name) => import(name),
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
