/** The C ABI of native-kernels/src/abi.cpp as koffi declares it. Loaded once per process. */
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import koffi from "koffi";

/** The version that these declarations describe; the same as in abi.cpp. */
const ABI_VERSION = 1;

/** What a function returns; the numbers are those of abi.cpp. */
export const STATUS = { ok: 0, outOfMemory: 1, noConvergence: 2 } as const;

const SUFFIXES: Readonly<Record<string, string>> = { win32: "dll", darwin: "dylib" };

const REMEDY =
  "compile them with a C++17 compiler (npm run build:native in a checkout, npm rebuild prism-gguf where it is installed), or use --backend reference";

type Numbers = Float32Array | Float64Array | BigInt64Array;
type Argument = Numbers | number;

/** A function that fills arrays and returns a status. */
export interface NativeFunction {
  (...values: Argument[]): number;
  readonly async: (...values: [...Argument[], (error: Error | null, status: number) => void]) => void;
}

export interface NativeLibrary {
  /** "AVX-512". */
  readonly isa: string;
  readonly moments: NativeFunction;
  readonly osqe: NativeFunction;
  readonly windowEigenvalues: NativeFunction;
  readonly sigmaMax: NativeFunction;
  /** Do `rounds` of multiply-adds and return the floating-point operations: what bench/ holds the kernels against. */
  readonly peak: (rounds: number, sink: Float64Array) => number;
}

/** The library, or why it can't be used and what to do. */
export type Loaded = NativeLibrary | string;

const loaded = new Map<string, Loaded>();

/** Where build.mjs puts the library of this platform: beside the sources, from src/ as from dist/. */
export function libraryPath(): string {
  const file = `${process.platform}-${process.arch}/prism-kernels.${SUFFIXES[process.platform] ?? "so"}`;
  return fileURLToPath(new URL(`../../native-kernels/build/${file}`, import.meta.url));
}

/** Load the library, once per path. A failure is returned, not thrown. */
export function loadLibrary(path: string): Loaded {
  const known = loaded.get(path) ?? tryLoad(path);
  loaded.set(path, known);
  return known;
}

function tryLoad(path: string): Loaded {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return `the native kernels are not built; ${REMEDY}`;
  try {
    const library = koffi.load(path);
    const version = library.func("int32_t prism_abi_version()")() as number;
    if (version !== ABI_VERSION) {
      return `${path} has ABI ${version}, this version of PRISM needs ${ABI_VERSION}; ${REMEDY}`;
    }
    return declare(library);
  } catch (error) {
    return `${path} can't be loaded: ${(error as Error).message}; ${REMEDY}`;
  }
}

function declare(library: ReturnType<typeof koffi.load>): NativeLibrary {
  const matrix = "const float *data, int64_t rows, int64_t columns";
  const windows = "int64_t size, const int64_t *columnOffsets, int64_t count, int64_t rowOffset";
  const func = (declaration: string) => library.func(`int32_t ${declaration}`) as unknown as NativeFunction;
  return {
    isa: library.func("const char *prism_isa()")() as string,
    moments: func(
      `prism_moments(${matrix}, int32_t threads, double *rowPower, double *columnPower, double *nonFinite)`,
    ),
    osqe: func(`prism_osqe(${matrix}, int32_t threads, double *sums)`),
    windowEigenvalues: func(`prism_window_eigenvalues(${matrix}, ${windows}, int32_t threads, double *values)`),
    sigmaMax: func(`prism_sigma_max(${matrix}, int32_t threads, double *sigma)`),
    peak: library.func("double prism_peak(int64_t rounds, double *sink)") as unknown as NativeLibrary["peak"],
  };
}
