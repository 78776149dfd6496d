/**
 * Decided types + source → GGUF, written aside by the engine and read back before it gets its name: every tensor's type
 * and the bytes of the file must be the predicted ones, to the byte.
 */

import { basename } from "node:path";
import type { Bench } from "../bench.ts";
import { localName, requireLocal } from "../bytes/remote-name.ts";
import { checkWritable, fileExists, writeAside } from "../disk/aside-file.ts";
import { checkFreeSpace, diskFullError } from "../disk/free-space.ts";
import type { EngineImatrix, TypeOverride } from "../engine/engine.ts";
import { EngineError, PrismError, UsageError } from "../errors.ts";
import { OUTPUT_ALIGNMENT_BYTES } from "../ggml/file-bytes.ts";
import type { FileType } from "../ggml/file-types.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { Model, OpenModel } from "../gguf/model.ts";
import { openModel } from "../gguf/open.ts";
import { protectInputs } from "../intake/protect-inputs.ts";
import { checkArchitecture, checkHeader, checkSource } from "../intake/source-checks.ts";
import { withDefaults } from "../present.ts";
import { type LoadProof, NOT_PROVEN, proveLoading } from "./prove-loading.ts";

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
  /** Strings the output carries besides, by key. */
  readonly notes?: ReadonlyMap<string, string> | undefined;
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
  readonly path: string;
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
  requireLocal(source.path, `name it as the source (--source ${localName(source.path)})`);
  checkHeader(model, spec.headerHash);
  checkArchitecture(model, bench.engine);
  checkSource(model, spec.expectedTypes, allowRequantize);
  await checkOutput(spec, model, force);
  const start = performance.now();
  const proof = await writeAside(spec.output, async (aside) => {
    const what = `quantizing ${request.label ?? basename(spec.output)}`;
    await runEngine(source, spec, { output: aside, allowRequantize, what }, bench);
    await spec.finish?.(aside);
    await requireUnchanged(source, bench);
    await verify(aside, spec);
    return prove === undefined ? NOT_PROVEN : requireLoading(aside, spec, prove, bench);
  });
  await spec.onWhole?.();
  const elapsedMs = Math.round(performance.now() - start);
  return { path: spec.output, fileBytes: spec.expectedBytes, elapsedMs, proof };
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

async function checkOutput(spec: QuantizeSpec, { shards }: Model, force: boolean): Promise<void> {
  const folder = await checkWritable(spec.output);
  await protectInputs([spec.output], [...shards.map(({ path }) => path), spec.imatrix?.path]);
  if (!force && (await fileExists(spec.output))) {
    throw new UsageError(`${spec.output} exists already; give --force to replace it, or another name with -o`);
  }
  await checkFreeSpace(spec.output, folder, spec.expectedBytes);
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
