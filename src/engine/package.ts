/**
 * Finds the llama.cpp library that npm carries: the package @node-llama-cpp/<platform> at the exact version whose C ABI
 * child/llama-library.ts declares. GPU builds of the same package are used when they are installed.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { EngineError } from "../errors.ts";

/** The npm version that is pinned, and the llama.cpp release inside it. */
export const PACKAGE_VERSION = "3.22.1";
export const LLAMA_VERSION = "v0.5.0";

export interface EnginePackage {
  /** "@node-llama-cpp/linux-x64". */
  readonly name: string;
  /** Folder of the package. */
  readonly root: string;
  /** Folder with libllama, libggml, libggml-base and the backends. */
  readonly dir: string;
  readonly llama: string;
  readonly ggml: string;
  readonly ggmlBase: string;
}

/** What to do where the embedded engine can't be had. */
export const ENGINE_REMEDY =
  "install it with `npm install --include=optional`, or give a llama.cpp build with --llama-dir DIR for quantizing and evaluating";

/** What to do where it is there and can't be loaded. */
export function reinstallRemedy({ root }: Pick<EnginePackage, "root">): string {
  return `delete ${root} and type \`npm install --include=optional\` again, or give a llama.cpp build with --llama-dir DIR for quantizing and evaluating`;
}

/** Package suffixes for this platform: the build that is always there, and those with a GPU in order of preference. */
export function platformPackages(
  platform = process.platform,
  arch = process.arch,
): { readonly plain: string; readonly gpu: readonly string[] } | undefined {
  const os = { linux: "linux", darwin: "mac", win32: "win" }[platform as string];
  if (os === undefined) return undefined;
  // Metal is in the only build there is.
  if (os === "mac")
    return arch === "arm64" ? { plain: "mac-arm64-metal", gpu: ["mac-arm64-metal"] } : { plain: "mac-x64", gpu: [] };
  const plain = `${os}-${arch === "arm" ? "armv7l" : arch}`;
  return { plain, gpu: arch === "x64" ? [`${plain}-cuda`, `${plain}-vulkan`] : [] };
}

/** Find the engine's package. Throws EngineError (missing) with what was tried and why not. */
export function findEnginePackage(): EnginePackage {
  const packages = platformPackages();
  const found =
    packages === undefined
      ? `there is no package for ${process.platform}-${process.arch}`
      : inspectPackage(`@node-llama-cpp/${packages.plain}`);
  if (typeof found !== "string") return found;
  throw new EngineError(`the embedded llama.cpp was not found: ${found}; ${ENGINE_REMEDY}`, { missing: true });
}

/** The GPU builds for this platform: each package, why it can't be used, or undefined where it is not installed. */
export function findGpuPackages(): Map<string, EnginePackage | string | undefined> {
  const names = (platformPackages()?.gpu ?? []).map((suffix) => `@node-llama-cpp/${suffix}`);
  return new Map(names.map((name) => [name, isInstalled(name) ? inspectPackage(name) : undefined]));
}

function isInstalled(name: string): boolean {
  return packageRoot(name, import.meta.url) !== undefined;
}

/** The package's libraries, or why it can't be used. Looked for as a module at `from` would find it. */
export function inspectPackage(name: string, from = import.meta.url): EnginePackage | string {
  const root = packageRoot(name, from);
  if (root === undefined) return `${name} is not installed`;
  const version = versionOf(root);
  if (version !== PACKAGE_VERSION) {
    return `${name} is version ${version}, but PRISM declares the C ABI of ${PACKAGE_VERSION} only (npm install ${name}@${PACKAGE_VERSION})`;
  }
  const dir = join(root, "bins", name.slice(name.indexOf("/") + 1));
  if (!existsSync(dir)) return `${name} has no ${dir}`;
  const files = readdirSync(dir);
  const [llama, ggml, ggmlBase] = (["llama", "ggml", "ggml-base"] as const).map((library) => {
    const file = findLibrary(files, library);
    return file === undefined ? undefined : join(dir, file);
  });
  if (llama === undefined || ggml === undefined || ggmlBase === undefined) return `${name} lacks libllama or libggml`;
  return { name, root, dir, llama, ggml, ggmlBase };
}

function versionOf(root: string): string {
  try {
    return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
  } catch {
    return "unreadable";
  }
}

/**
 * The file among `files` that is this library. Builds put what they are for and the release into the name, where they
 * put them at all: libllama.so, libllama.v0.5.0.so, libllama.metal.v0.5.0.dylib, llama.cuda.v0.5.0.dll.
 */
function findLibrary(files: readonly string[], library: "llama" | "ggml" | "ggml-base"): string | undefined {
  const pattern = new RegExp(`^(lib)?${library}(\\.[a-z]+)?(\\.v\\d[\\d.]*)?\\.(so|dylib|dll)$`);
  return files.find((file) => pattern.test(file));
}

function packageRoot(name: string, from: string): string | undefined {
  // The package's "exports" hides package.json, so look for its folder along the module search path.
  for (const modules of createRequire(from).resolve.paths(name) ?? []) {
    const root = join(modules, name);
    if (existsSync(join(root, "package.json"))) return root;
  }
  return undefined;
}

export function describePackage(found: EnginePackage): string {
  return `${found.name}@${PACKAGE_VERSION} (${dirname(found.llama)})`;
}
