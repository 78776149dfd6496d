import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import lock from "../../package-lock.json" with { type: "json" };
import { checkAbi } from "../../src/engine/child/check-abi.ts";
import { findEnginePackage, inspectPackage, PACKAGE_VERSION, platformPackages } from "../../src/engine/package.ts";
import { TENSOR_TYPES, type TensorType, tensorTypeFromId } from "../../src/ggml/tensor-types.ts";
import packageFiles from "./package-files.json" with { type: "json" };

let dir: string;
let from: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-package-"));
  from = pathToFileURL(join(dir, "program.js")).href;
});
afterAll(() => rm(dir, { recursive: true }));

async function install(name: string, version: string, libraries: readonly string[]): Promise<string> {
  const root = join(dir, "node_modules", "@node-llama-cpp", name);
  const bins = join(root, "bins", name);
  await mkdir(bins, { recursive: true });
  await writeFile(join(root, "package.json"), JSON.stringify({ name: `@node-llama-cpp/${name}`, version }));
  for (const library of libraries) await writeFile(join(bins, library), "");
  return bins;
}

describe("the package of a platform", () => {
  it.each([
    ["linux", "x64", "linux-x64"],
    ["linux", "arm64", "linux-arm64"],
    ["linux", "arm", "linux-armv7l"],
    ["darwin", "arm64", "mac-arm64-metal"],
    ["darwin", "x64", "mac-x64"],
    ["win32", "x64", "win-x64"],
    ["win32", "arm64", "win-arm64"],
  ] as const)("of %s-%s is an optional dependency at the pinned version", (platform, arch, expected) => {
    expect(platformPackages(platform, arch)?.plain).toBe(expected);
    const dependencies: Record<string, string> = manifest.optionalDependencies;
    expect(dependencies[`@node-llama-cpp/${expected}`]).toBe(PACKAGE_VERSION);
  });

  it("has the GPU builds that npm carries for it", () => {
    expect(platformPackages("linux", "x64")?.gpu).toEqual(["linux-x64-cuda", "linux-x64-vulkan"]);
    expect(platformPackages("win32", "x64")?.gpu).toEqual(["win-x64-cuda", "win-x64-vulkan"]);
    expect(platformPackages("darwin", "arm64")?.gpu).toEqual(["mac-arm64-metal"]);
    expect(platformPackages("linux", "arm64")?.gpu).toEqual([]);
  });

  it("is installed in a checkout on its own processors only, whatever else the package claims to be for", () => {
    // @node-llama-cpp/linux-arm64 and linux-armv7l list x64 too; npm goes by the lockfile, where that is mended
    for (const [name, cpu] of [
      ["linux-arm64", "arm64"],
      ["linux-armv7l", "arm"],
      ["linux-x64", "x64"],
    ] as const) {
      expect(lock.packages[`node_modules/@node-llama-cpp/${name}`].cpu).toEqual([cpu]);
    }
  });

  it("is none on other systems", () => {
    expect(platformPackages("freebsd", "x64")).toBeUndefined();
  });
});

describe("an installed package", () => {
  // the files that npm lists of each build (of 3.21.1 where the registry had no 3.22.1 when they were read)
  it.each(Object.entries(packageFiles))("of %s is found by the names of its files", async (name, { files }) => {
    const bins = await install(name, PACKAGE_VERSION, files);
    const found = inspectPackage(`@node-llama-cpp/${name}`, from);
    if (typeof found === "string") throw new Error(found);
    const named = [found.llama, found.ggml, found.ggmlBase].map((path) => path.slice(bins.length + 1));
    const middle = /-(metal|cuda|vulkan)$/.exec(name)?.[1];
    const end = `${middle === undefined ? "" : `.${middle}`}.v`;
    expect(named[0]).toMatch(new RegExp(`^(lib)?llama${end.replaceAll(".", "\\.")}[\\d.]+(so|dylib|dll)$`));
    expect(named[1]).toMatch(new RegExp(`^(lib)?ggml${end.replaceAll(".", "\\.")}[\\d.]+(so|dylib|dll)$`));
    expect(named[2]).toMatch(/^(lib)?ggml-base\.(so|dylib|dll)$/);
    await rm(join(bins, "../.."), { recursive: true });
  });

  it("is found with its libraries, versioned names or not", async () => {
    const bins = await install("linux-x64", PACKAGE_VERSION, [
      "libllama.v0.5.0.so",
      "libggml.v0.5.0.so",
      "libggml-base.so",
      "libggml-cpu-haswell.so",
    ]);
    expect(inspectPackage("@node-llama-cpp/linux-x64", from)).toMatchObject({
      llama: join(bins, "libllama.v0.5.0.so"),
      ggml: join(bins, "libggml.v0.5.0.so"),
      ggmlBase: join(bins, "libggml-base.so"),
    });
    const windows = await install("win-x64", PACKAGE_VERSION, ["llama.dll", "ggml.dll", "ggml-base.dll"]);
    expect(inspectPackage("@node-llama-cpp/win-x64", from)).toMatchObject({ llama: join(windows, "llama.dll") });
  });

  it("of another version is refused with the command that installs the right one", async () => {
    await install("linux-arm64", "3.99.0", []);
    expect(inspectPackage("@node-llama-cpp/linux-arm64", from)).toBe(
      `@node-llama-cpp/linux-arm64 is version 3.99.0, but PRISM declares the C ABI of ${PACKAGE_VERSION} only (npm install @node-llama-cpp/linux-arm64@${PACKAGE_VERSION})`,
    );
  });

  it("without its libraries, or absent, is refused with the reason", async () => {
    await install("mac-x64", PACKAGE_VERSION, ["libggml.dylib"]);
    expect(inspectPackage("@node-llama-cpp/mac-x64", from)).toMatch(/lacks libllama or libggml/);
    expect(inspectPackage("@node-llama-cpp/absent", from)).toBe("@node-llama-cpp/absent is not installed");
  });

  it("of this machine is found", () => {
    expect(findEnginePackage().name).toBe(`@node-llama-cpp/${platformPackages()?.plain}`);
  });
});

describe("the ABI guard", () => {
  const library = (change: Partial<Parameters<typeof checkAbi>[0]> = {}) => ({
    version: () => "0.5.0",
    typeName: (id: number) => (tensorTypeFromId(id) as TensorType).toLowerCase(),
    rowSize: (id: number) => TENSOR_TYPES[tensorTypeFromId(id) as TensorType].blockBytes,
    operationName: (operation: number) => ({ 29: "MUL_MAT", 30: "MUL_MAT_ID" })[operation] ?? "NONE",
    quantizeDefaults: () =>
      ({
        output_tensor_type: 43,
        token_embedding_type: 43,
        quantize_output_tensor: true,
        dry_run: false,
      }) as ReturnType<Parameters<typeof checkAbi>[0]["quantizeDefaults"]>,
    modelDefaults: () =>
      ({ use_extra_bufts: true, vocab_only: false }) as ReturnType<Parameters<typeof checkAbi>[0]["modelDefaults"]>,
    contextDefaults: () =>
      ({ n_ctx: 512, n_batch: 2048, type_k: 1, type_v: 1, offload_kqv: true }) as ReturnType<
        Parameters<typeof checkAbi>[0]["contextDefaults"]
      >,
    threadpoolDefaults: (threads: number) => ({ n_threads: threads, poll: 50, strict_cpu: false, paused: false }),
    ...change,
  });

  it("accepts the library it was written for", () => {
    expect(() => checkAbi(library())).not.toThrow();
  });

  it("names a version, a type, a block size or a default that differs", () => {
    expect(() => checkAbi(library({ version: () => "0.6.1" }))).toThrow("its version is v0.6.1, expected v0.5.0");
    expect(() => checkAbi(library({ typeName: () => "q4_9" }))).toThrow(/the name of type \d+ is q4_9/);
    expect(() => checkAbi(library({ rowSize: () => 1 }))).toThrow(/the block size of \w+ is 1/);
    expect(() => checkAbi(library({ operationName: () => "ADD" }))).toThrow("operation 0 is ADD, expected NONE");
    const added = library({ operationName: (operation: number) => (operation === 0 ? "NONE" : "ADD") });
    expect(() => checkAbi(added)).toThrow("operation 29 is ADD, expected MUL_MAT");
    const shifted = { ...library().contextDefaults(), type_k: 0 };
    expect(() => checkAbi(library({ contextDefaults: () => shifted }))).toThrow(
      "context default type_k is 0, expected 1",
    );
  });
});
