/** The C ABI of native-kernels/src/abi.cpp as koffi declares it. Loaded once per process. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findLibrary } from "./find-library.ts";
import { builtPath, checksumOf } from "./kernel-files.ts";
import { type LoadedFile, loadKoffi } from "./koffi.ts";

/** The version that these declarations describe; the same as in abi.cpp. */
const ABI_VERSION = 5;

/** What a function returns; the numbers are those of abi.cpp. */
export const STATUS = { ok: 0, outOfMemory: 1, noConvergence: 2 } as const;

const REMEDY = "install a C++17 compiler and type prism doctor, which compiles them, or use --backend reference";

/** An array, an address, or a number; null is the address of nothing. */
export type Argument = NodeJS.TypedArray | bigint | number | null;

/** A function of the library; one that fills arrays returns a status. */
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
  readonly decode: NativeFunction;
  /** What the engine's child computes on rows of weights and of logits. */
  readonly roundTrip: NativeFunction;
  readonly scoreRows: NativeFunction;
  readonly drawTokens: NativeFunction;
  /** Second moments of inputs, and quantizing with what their errors ask of each other. */
  readonly momentsLength: NativeFunction;
  readonly addMoments: NativeFunction;
  readonly feedbackFactor: NativeFunction;
  readonly feedback: NativeFunction;
  /** Do `rounds` of multiply-adds and return the floating-point operations: what bench/ holds the kernels against. */
  readonly peak: NativeFunction;
  /** Read the numbers and do nothing with them: the limit of what streams. */
  readonly read: NativeFunction;
}

/** The library, or why it can't be used and what to do. */
export type Loaded = NativeLibrary | string;

/** In the environment it leaves the library alone, as where none was built; other values hold a processor back. */
const SWITCHED_OFF = "none";
const IS_OFF = "the native kernels are switched off; unset PRISM_ISA to use them";

const loaded = new Map<string, Loaded>();

/** The library this process uses, or where a checkout would build it. */
export function libraryPath(): string {
  const found = findLibrary();
  return typeof found === "string" ? builtPath() : found.path;
}

/** Load the library this process uses. Why it can't is returned, with what to do after a semicolon. */
export function openLibrary(): Loaded {
  if (process.env.PRISM_ISA === SWITCHED_OFF) return IS_OFF;
  const found = findLibrary();
  return typeof found === "string" ? `${found}; ${REMEDY}` : loadLibrary(found.path, found.checksum);
}

/**
 * Load the library, once per path: the content of this SHA-256, if one is given, whatever happens to the file. A failure
 * is returned, not thrown.
 */
export function loadLibrary(path: string, checksum?: string): Loaded {
  if (process.env.PRISM_ISA === SWITCHED_OFF) return IS_OFF;
  const known = loaded.get(path) ?? tryLoad(path, checksum);
  loaded.set(path, known);
  return known;
}

/** Arguments of the calls under way: the library uses their memory, so they must not be collected. */
const underWay = new Set<readonly Argument[]>();

/** Call a function on a thread of its own and return its status. */
export async function callAsync(call: NativeFunction, values: readonly Argument[]): Promise<number> {
  underWay.add(values);
  try {
    return await new Promise<number>((resolve, reject) => {
      call.async(...values, (error, status) => (error === null ? resolve(status) : reject(error)));
    });
  } finally {
    underWay.delete(values);
  }
}

function tryLoad(path: string, checksum: string | undefined): Loaded {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return `the native kernels are not built; ${REMEDY}`;
  try {
    const library = checksum === undefined ? loadKoffi().load(path) : loadContent(path, checksum);
    const version = library.func("int32_t prism_abi_version()")() as number;
    if (version !== ABI_VERSION) {
      return `${path} has ABI ${version}, this version of PRISM needs ${ABI_VERSION}; ${REMEDY}`;
    }
    return declare(library);
  } catch (error) {
    return `${path} can't be loaded: ${(error as Error).message}; ${REMEDY}`;
  }
}

/**
 * Load from a copy that only this process has: a library that is cut or written over while it is mapped would end the
 * process. Where no copy can be made or loaded (a temporary folder that is full or noexec) the file itself is.
 */
function loadContent(path: string, checksum: string): LoadedFile {
  const content = readFileSync(path);
  if (checksumOf(content) !== checksum) throw new Error("it was changed after it was tried, type the command again");
  const koffi = loadKoffi();
  // Windows lets nobody write to a library that is loaded.
  if (process.platform === "win32") return koffi.load(path);
  let folder: string | undefined;
  try {
    folder = mkdtempSync(join(tmpdir(), "prism-kernels-"));
    const copy = join(folder, "kernels");
    writeFileSync(copy, content, { mode: 0o700 });
    return koffi.load(copy);
  } catch {
    return koffi.load(path);
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

function declare(library: LoadedFile): NativeLibrary {
  const matrix = "const float *data, int64_t rows, int64_t columns";
  const rows = "const uint8_t *data, int64_t rows, int64_t columns, int64_t bandRows";
  const types = "int64_t typeCount, const int32_t *ids, const int64_t *rowBytes, const uint64_t *toFloat";
  const logits = "const void *logits, int64_t vocabSize, int64_t sequences, int64_t rowsPerSequence, int64_t scored";
  const scores = "double *nll, double *referenceNll, double *kld, uint8_t *sameTop";
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
    decode: func("prism_decode(int32_t brain, const uint8_t *from, int64_t count, int32_t threads, float *to)"),
    roundTrip: func(
      `prism_round_trip(uint64_t quantizeChunk, ${rows}, ${types}, const float *importance, double *power, double *errors, double *nonFinite)`,
    ),
    scoreRows: func(
      `prism_score_rows(int32_t mode, ${logits}, const int32_t *targets, uint16_t *records, int32_t threads, ${scores})`,
    ),
    drawTokens: func(
      "prism_draw_tokens(const void *logits, int64_t rows, int64_t vocabSize, const double *uniforms, int32_t threads, int32_t *tokens)",
    ),
    momentsLength: library.func("int64_t prism_moments_length(int64_t order)") as unknown as NativeFunction,
    addMoments: func(
      "prism_add_moments(const void *inputs, int64_t rows, int64_t columns, int64_t stride, int32_t threads, float *moments)",
    ),
    feedbackFactor: func(
      "prism_feedback_factor(const float *moments, int64_t order, double shrinkage, int32_t threads, float *feedback, float *pivots)",
    ),
    feedback: func(
      "prism_feedback(uint64_t quantizeChunk, const uint8_t *data, int64_t rows, int64_t columns, int64_t blockWeights, const int32_t *ids, const int64_t *rowBytes, const uint64_t *toFloat, const float *importance, const float *feedback, const float *pivots, int32_t measure, int32_t threads, uint8_t *packed, double *error)",
    ),
    peak: library.func("double prism_peak(int64_t rounds, double *sink)") as unknown as NativeFunction,
    read: library.func("double prism_read(const float *data, int64_t length)") as unknown as NativeFunction,
  };
}
