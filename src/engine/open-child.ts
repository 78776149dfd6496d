/** Opens the process that models are loaded in: of the plain package, or of a GPU build that finds a device. */
import { EngineError } from "../errors.ts";
import { present } from "../present.ts";
import type { Device } from "./child/main.ts";
import { EngineChild } from "./child-process.ts";
import type { EmbeddedOptions } from "./embedded.ts";
import type { EngineInfo } from "./engine.ts";
import { type EnginePackage, findGpuPackages, PACKAGE_VERSION, reinstallRemedy } from "./package.ts";
import { damageOf } from "./package-damage.ts";
import { wasEndedFromOutside } from "./process-end.ts";

export interface OpenChild extends Pick<EngineInfo, "devices" | "gpus" | "kernels" | "cpuBuild"> {
  readonly child: EngineChild;
  readonly origin: EnginePackage;
}

/**
 * The process of `plain`, or of the first GPU build that finds a device, as `gpuLayers` says. Of builds that are installed
 * and not used it is said why. Throws EngineError (missing) where layers are asked for on a GPU and no build finds one.
 */
export async function openBestChild(
  plain: EnginePackage,
  { gpuLayers = 0, build, note = () => undefined }: EmbeddedOptions,
): Promise<OpenChild> {
  if (gpuLayers === 0) return openChild(plain);
  const absent: string[] = [];
  const unusable: string[] = [];
  const builds = build === undefined ? findGpuPackages() : new Map([[build.name, build]]);
  for (const [name, found] of builds) {
    const opened = found === undefined ? undefined : await openGpuBuild(found);
    if (opened === undefined) absent.push(`${name} is not installed`);
    else if (typeof opened === "string") unusable.push(opened);
    else {
      for (const problem of unusable) note(`${problem}: ${name} is used in its place`);
      return opened;
    }
  }
  if (gpuLayers === "auto") {
    for (const problem of unusable) note(`no GPU is used: ${problem}`);
    return openChild(plain);
  }
  const tried = [...unusable, ...absent].join("; ") || `no GPU build for ${process.platform}-${process.arch}`;
  throw new EngineError(
    `--gpu-layers: ${tried}; install a build that fits (npm install @node-llama-cpp/linux-x64-cuda@${PACKAGE_VERSION}, say), or leave --gpu-layers out`,
    { missing: true },
  );
}

/** The process of a GPU build, or why it can't be used. */
async function openGpuBuild(found: EnginePackage | string): Promise<OpenChild | string> {
  if (typeof found === "string") return found;
  try {
    const opened = await openChild(found);
    if (opened.gpus !== undefined) return opened;
    await opened.child.close();
    return `${found.name} finds no GPU (its driver is missing or no device is visible)`;
  } catch (error) {
    if (error instanceof EngineError && error.code === "engine-missing") return error.message;
    throw error;
  }
}

/** The process of a package. Throws EngineError (missing) where it can't be used. */
export async function openChild(found: EnginePackage): Promise<OpenChild> {
  const child = new EngineChild(found);
  try {
    const opened = child.call<Device[]>("devices", undefined);
    // looked for while the process starts; what it says of a damaged library does not matter
    const damage = damageOf(found);
    if (damage !== undefined) {
      opened.catch(() => undefined);
      throw new EngineError(damage, { missing: true });
    }
    const devices = await opened;
    const gpus = devices.flatMap(({ isGpu, ...gpu }) => (isGpu ? [gpu] : []));
    return {
      child,
      origin: found,
      devices: devices.map(({ name, description }) => `${name}: ${description}`),
      ...(gpus.length === 0 ? {} : { gpus }),
      kernels: await child.call<string>("kernels", undefined),
      ...present({ cpuBuild: await child.call<string | undefined>("cpuBuild", undefined) }),
    };
  } catch (error) {
    await child.close();
    throw openError(found, error as EngineError);
  }
}

/** Who was killed or had no memory says so; all else is the package's fault. */
function openError(found: EnginePackage, error: EngineError): EngineError {
  const isSaid = error.code === "engine-missing" || wasEndedFromOutside(error.ended ?? error.message, error.logTail);
  if (isSaid) return error;
  const { ended, logTail } = error;
  const why = ended === undefined ? error.message.split("\n")[0] : `the process that loads it ended (${ended})`;
  const message = `${found.name} can't be used here: ${why}; ${reinstallRemedy(found)}`;
  return new EngineError(message, { missing: true, logTail, cause: error });
}
