/**
 * Decided types + source → GGUF, written aside by the engine and read back before it gets its name: every tensor's type
 * and the bytes of the file must be the predicted ones, to the byte.
 */

import { localName, requireLocal } from "../bytes/remote-name.ts";
import { checkWritable, fileExists, writeAside } from "../disk/aside-file.ts";
import { checkFreeSpace, diskFullError } from "../disk/free-space.ts";
import type { Engine, EngineImatrix, TypeOverride } from "../engine/engine.ts";
import { EngineError, PrismError, UsageError } from "../errors.ts";
import { OUTPUT_ALIGNMENT_BYTES } from "../ggml/file-bytes.ts";
import type { FileType } from "../ggml/file-types.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { Model } from "../gguf/model.ts";
import { openModel } from "../gguf/open.ts";
import { checkArchitecture, checkHeader, checkSource, sameFile } from "./source.ts";

export interface QuantizeSpec {
  readonly source: string;
  readonly output: string;
  readonly fileType: FileType;
  readonly overrides: readonly TypeOverride[];
  /** The type every tensor must end up with. */
  readonly expectedTypes: ReadonlyMap<string, TensorType>;
  /** Bytes the file must end up with. */
  readonly expectedBytes: number;
  /** SHA-256 of the source's header, where the decision was made for one model only. */
  readonly headerHash?: string;
  readonly imatrix?: EngineImatrix;
}

export interface QuantizeOptions {
  readonly engine: Engine;
  readonly threads: number;
  readonly allowRequantize?: boolean;
  /** Replace an output that stands there. */
  readonly force?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface QuantizedFile {
  readonly path: string;
  readonly fileBytes: number;
  readonly elapsedMs: number;
}

/**
 * Quantize and verify. Throws FormatError for the wrong source, FileError for an output that can't be written,
 * EngineError where llama.cpp fails, PrismError (`verification`) where the file is not what was predicted.
 */
export async function quantize(spec: QuantizeSpec, options: QuantizeOptions): Promise<QuantizedFile> {
  const source = await describeSource(spec, options);
  await checkOutput(spec, source.paths, options.force ?? false);
  const start = performance.now();
  await writeAside(spec.output, async (aside) => {
    await runEngine(spec, aside, source.alignment, options);
    await verify(aside, spec);
  });
  return { path: spec.output, fileBytes: spec.expectedBytes, elapsedMs: Math.round(performance.now() - start) };
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

async function describeSource(spec: QuantizeSpec, options: QuantizeOptions) {
  requireLocal(spec.source, `name it as the source (--source ${localName(spec.source)})`);
  const file = await openModel(spec.source);
  try {
    const { model } = file;
    checkHeader(model, spec.headerHash);
    checkArchitecture(model, options.engine.info);
    checkSource(model, spec.expectedTypes, options.allowRequantize ?? false);
    return { alignment: model.alignment, paths: model.shards.map(({ path }) => path) };
  } finally {
    await file.close();
  }
}

async function checkOutput(spec: QuantizeSpec, sources: readonly string[], force: boolean): Promise<void> {
  const folder = await checkWritable(spec.output);
  for (const source of sources) {
    if (await sameFile(source, spec.output)) {
      throw new UsageError(`the output ${spec.output} is the source; choose another name with -o`);
    }
  }
  if (!force && (await fileExists(spec.output))) {
    throw new UsageError(`${spec.output} exists already; give --force to replace it, or another name with -o`);
  }
  await checkFreeSpace(spec.output, folder, spec.expectedBytes);
}

async function runEngine(spec: QuantizeSpec, output: string, alignment: number, options: QuantizeOptions) {
  try {
    await options.engine.quantize({
      source: spec.source,
      output,
      fileType: spec.fileType,
      overrides: spec.overrides,
      threads: options.threads,
      allowRequantize: options.allowRequantize ?? false,
      fixAlignment: alignment !== OUTPUT_ALIGNMENT_BYTES,
      ...(spec.imatrix === undefined ? {} : { imatrix: spec.imatrix }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    });
  } catch (error) {
    throw error instanceof EngineError ? ((await diskFullError(spec.output, output, error)) ?? error) : error;
  }
}

/** Problems named in a message; the rest is counted. */
const SHOWN_PROBLEMS = 5;

async function verify(path: string, spec: QuantizeSpec): Promise<void> {
  const file = await openModel(path);
  try {
    const problems = differences(file.model, spec);
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
function differences(model: Model, { expectedTypes, expectedBytes }: QuantizeSpec): string[] {
  const problems: string[] = [];
  for (const { name, type } of model.tensors) {
    const expected = expectedTypes.get(name);
    if (expected !== type) problems.push(`${name} is ${type}, expected ${expected ?? "no such tensor"}`);
  }
  if (model.tensors.length !== expectedTypes.size) {
    problems.push(`${model.tensors.length} tensors, expected ${expectedTypes.size}`);
  }
  const bytes = model.shards.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  if (bytes !== expectedBytes) problems.push(`${bytes} bytes, expected ${expectedBytes}`);
  return problems;
}
