/**
 * Decided types + source → GGUF, written aside by the engine and read back before it gets its name: every tensor's type
 * and the bytes of the file must be the predicted ones, to the byte.
 */

import { rename } from "node:fs/promises";
import { basename } from "node:path";
import type { Bench } from "../bench.ts";
import { localName, requireLocal } from "../bytes/remote-name.ts";
import { checkWritable, fileExists, withScratchFile, writeAside } from "../disk/aside-file.ts";
import { checkFreeSpace, diskFullError } from "../disk/free-space.ts";
import type { EngineImatrix, TypeOverride } from "../engine/engine.ts";
import { EngineError, PrismError } from "../errors.ts";
import { OUTPUT_ALIGNMENT_BYTES } from "../ggml/file-bytes.ts";
import type { FileType } from "../ggml/file-types.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openModel } from "../gguf/open.ts";
import type { Split } from "../gguf/split.ts";
import { checkArchitecture, checkHeader, checkSource } from "../intake/source-checks.ts";
import { present, withDefaults } from "../present.ts";
import { type LoadProof, NOT_PROVEN, proveLoading } from "./prove-loading.ts";
import { checkParts, plannedParts, removeParts, splitFile } from "./split-file.ts";

export interface QuantizeSpec {
  readonly output: string;
  readonly fileType: FileType;
  readonly overrides: readonly TypeOverride[];
  /** The type every tensor must end up with. */
  readonly expectedTypes: ReadonlyMap<string, TensorType>;
  /** Bytes the file must end up with. */
  readonly expectedBytes: number;
  /** SHA-256 of the source's header, where the decision was made for one model only. */
  readonly headerHash?: string | undefined;
  readonly imatrix?: EngineImatrix | undefined;
  /** Put parts in its place, where it makes more than one; the bytes and types above are those of the whole file. */
  readonly split?: Split | undefined;
  /** Strings the output carries besides, by key. */
  readonly notes?: ReadonlyMap<string, string> | undefined;
  /** Write the file, in llama-quantize's place: from what is made of its tensors already. The source may be remote. */
  readonly write?: ((aside: string) => Promise<void>) | undefined;
  /** Work on what llama.cpp wrote, before it is verified and gets its name; types and places stay. */
  readonly finish?: ((aside: string) => Promise<void>) | undefined;
  /** It is verified and has its name. */
  readonly onWhole?: (() => Promise<void>) | undefined;
}

export interface QuantizeRequest {
  readonly allowRequantize?: boolean | undefined;
  /** Replace an output that stands there. */
  readonly force?: boolean | undefined;
  /**
   * Have llama.cpp load the file before it gets its name, and keep none that it refuses; "noted": keep it all the same,
   * where its source was refused too. By default not: most files are loaded to be scored.
   */
  readonly prove?: "required" | "noted" | undefined;
  /** How progress names the file; by default as it is called. */
  readonly label?: string | undefined;
}

export const QUANTIZE_DEFAULTS = { allowRequantize: false, force: false } as const satisfies QuantizeRequest;

export interface QuantizedFile {
  /** The first of its parts, where it has parts. */
  readonly path: string;
  /** All parts in order, where it has any. */
  readonly parts?: readonly string[];
  /** Of all parts. */
  readonly fileBytes: number;
  readonly elapsedMs: number;
  readonly proof: LoadProof;
}

/**
 * Quantize `source` and verify. Throws FormatError for the wrong source, FileError for an output that can't be written,
 * EngineError where llama.cpp fails, PrismError (`verification`) where the file is not what was predicted, or can't be
 * loaded (`prove`).
 */
export async function quantize(
  source: OpenModel,
  spec: QuantizeSpec,
  request: QuantizeRequest,
  bench: Bench,
): Promise<QuantizedFile> {
  const { allowRequantize, force, prove } = withDefaults<QuantizeRequest, typeof QUANTIZE_DEFAULTS>(
    QUANTIZE_DEFAULTS,
    request,
  );
  const { model } = source;
  if (spec.write === undefined) {
    requireLocal(source.path, `name it as the source (--source ${localName(source.path)})`);
  }
  checkHeader(model, spec.headerHash);
  checkArchitecture(model, bench.engine);
  checkSource(model, spec.expectedTypes, allowRequantize);
  const check = (paths: readonly string[]) =>
    checkParts(paths, [...model.shards.map(({ path }) => path), spec.imatrix?.path], force);
  await checkOutput(source, spec, check);
  const start = performance.now();
  const make = async (aside: string) => {
    const what = `quantizing ${request.label ?? basename(spec.output)}`;
    if (spec.write !== undefined) await spec.write(aside);
    else await runEngine(source, spec, { output: aside, allowRequantize, what }, bench);
    await spec.finish?.(aside);
    await requireUnchanged(source, bench);
    await verify(aside, spec);
    return prove === undefined ? NOT_PROVEN : requireLoading(aside, spec, prove, bench);
  };
  const { split } = spec;
  const { proof, placed } =
    split === undefined
      ? { proof: await writeAside(spec.output, make), placed: undefined }
      : await withScratchFile(spec.output, async (scratch) => {
          const whole = await make(scratch);
          const parts = await splitFile(scratch, spec.output, split, check);
          if (parts === undefined) await rename(scratch, spec.output);
          return { proof: whole, placed: parts };
        });
  if (placed !== undefined && prove !== undefined) await requireParts(placed.paths, prove, bench);
  await spec.onWhole?.();
  const elapsedMs = Math.round(performance.now() - start);
  const { paths: parts, fileBytes = spec.expectedBytes } = placed ?? {};
  return { path: parts?.[0] ?? spec.output, ...present({ parts }), fileBytes, elapsedMs, proof };
}

/** Whether the output stands there already with the types and bytes of the specification. */
export async function isQuantized(spec: QuantizeSpec): Promise<boolean> {
  if (!(await fileExists(spec.output))) return false;
  return verify(spec.output, spec).then(
    () => true,
    (error: unknown) => {
      if (error instanceof PrismError) return false;
      throw error;
    },
  );
}

async function checkOutput(
  source: Pick<OpenModel, "model">,
  spec: QuantizeSpec,
  check: (paths: readonly string[]) => Promise<void>,
): Promise<void> {
  const folder = await checkWritable(spec.output);
  await check(plannedParts(source, spec));
  // the whole file is there until its parts are
  await checkFreeSpace(spec.output, folder, spec.expectedBytes * (spec.split === undefined ? 1 : 2));
}

/** Its tensors were proven in the whole file: this is about its parts' names and keys. */
async function requireParts(paths: readonly string[], prove: "required" | "noted", bench: Bench): Promise<void> {
  const [first = ""] = paths;
  const { loaded, why } = await proveLoading(first, bench, false);
  if (loaded !== "refused" || prove === "noted") return;
  await removeParts(paths);
  throw new PrismError(
    "verification",
    1,
    `${first}: llama.cpp does not load the parts of the quantized file: ${why}. They were not kept; please report this with the plan`,
  );
}

async function runEngine(
  { path, model }: Pick<OpenModel, "path" | "model">,
  spec: QuantizeSpec,
  { output, allowRequantize, what }: { output: string; allowRequantize: boolean; what: string },
  { engine, threads, signal, progress }: Bench,
): Promise<void> {
  try {
    await engine.quantize({
      source: path,
      output,
      fileType: spec.fileType,
      overrides: spec.overrides,
      threads,
      allowRequantize,
      fixAlignment: model.alignment !== OUTPUT_ALIGNMENT_BYTES,
      imatrix: spec.imatrix,
      notes: spec.notes,
      signal,
      onProgress: (done, total) => progress.steps(what, done, total),
    });
  } catch (error) {
    throw error instanceof EngineError ? ((await diskFullError(spec.output, output, error)) ?? error) : error;
  }
}

async function requireLoading(
  aside: string,
  { output }: QuantizeSpec,
  prove: "required" | "noted",
  bench: Bench,
): Promise<LoadProof> {
  const proof = await proveLoading(aside, bench);
  if (proof.loaded !== "refused") return proof;
  if (prove === "required") {
    throw new PrismError(
      "verification",
      1,
      `${output}: llama.cpp does not load the quantized file: ${proof.why}. It was not kept; check the source with prism inspect, and report this with the plan where that finds nothing`,
    );
  }
  bench.progress.note(`! ${output}: llama.cpp does not load the quantized file: ${proof.why}`);
  return proof;
}

/** Problems named in a message; the rest is counted. */
const SHOWN_PROBLEMS = 5;

async function verify(path: string, spec: QuantizeSpec): Promise<void> {
  const file = await openModel(path);
  try {
    const problems = differences(file, spec);
    if (problems.length === 0) return;
    const shown = problems.slice(0, SHOWN_PROBLEMS).join("; ");
    const more = problems.length > SHOWN_PROBLEMS ? `; and ${problems.length - SHOWN_PROBLEMS} more` : "";
    throw new PrismError(
      "verification",
      1,
      `${spec.output}: the quantized file is not what was planned: ${shown}${more}. It was not kept; please report this with the plan and the llama.cpp version`,
    );
  } finally {
    await file.close();
  }
}

/** What of a file is not as specified, in words. */
function differences({ model, fileBytes }: OpenModel, { expectedTypes, expectedBytes }: QuantizeSpec): string[] {
  const problems: string[] = [];
  for (const { name, type } of model.tensors) {
    const expected = expectedTypes.get(name);
    if (expected !== type) problems.push(`${name} is ${type}, expected ${expected ?? "no such tensor"}`);
  }
  if (model.tensors.length !== expectedTypes.size) {
    problems.push(`${model.tensors.length} tensors, expected ${expectedTypes.size}`);
  }
  if (fileBytes !== expectedBytes) problems.push(`${fileBytes} bytes, expected ${expectedBytes}`);
  return problems;
}
