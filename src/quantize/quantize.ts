/**
 * Decided types + source → GGUF, written aside by the engine and read back before it gets its name: every tensor's type
 * and the bytes of the file must be the predicted ones, to the byte.
 */
import { statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileExists, writeAside } from "../aside-file.ts";
import type { Engine, EngineImatrix, TypeOverride } from "../engine/engine.ts";
import { FileError, FormatError, PrismError, UsageError } from "../errors.ts";
import { OUTPUT_ALIGNMENT_BYTES } from "../ggml/file-bytes.ts";
import type { FileType } from "../ggml/file-types.ts";
import { isQuantizedType, type TensorType } from "../ggml/tensor-types.ts";
import { openModel } from "../gguf/open.ts";

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

/** Bytes of disk left free beside the output. */
const SPARE_BYTES = 16 * 2 ** 20;

/**
 * Quantize and verify. Throws FormatError for the wrong source, FileError for an output that can't be written,
 * EngineError where llama.cpp fails, PrismError (`verification`) where the file is not what was predicted.
 */
export async function quantize(spec: QuantizeSpec, options: QuantizeOptions): Promise<QuantizedFile> {
  const source = await describeSource(spec, options);
  await checkOutput(spec, source.paths, options.force ?? false);
  const start = performance.now();
  await writeAside(spec.output, async (aside) => {
    await options.engine.quantize({
      source: spec.source,
      output: aside,
      fileType: spec.fileType,
      overrides: spec.overrides,
      threads: options.threads,
      allowRequantize: options.allowRequantize ?? false,
      fixAlignment: source.alignment !== OUTPUT_ALIGNMENT_BYTES,
      ...(spec.imatrix === undefined ? {} : { imatrix: spec.imatrix }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    });
    await verify(aside, spec);
  });
  return { path: spec.output, fileBytes: spec.expectedBytes, elapsedMs: Math.round(performance.now() - start) };
}

async function describeSource(spec: QuantizeSpec, options: QuantizeOptions) {
  const file = await openModel(spec.source);
  try {
    const { model } = file;
    if (spec.headerHash !== undefined && model.headerHash !== spec.headerHash) {
      throw new FormatError(
        spec.source,
        `is not the model the plan was made for: its header is ${model.headerHash.slice(0, 12)}…, the plan's ${spec.headerHash.slice(0, 12)}…; make a plan of this model, or name the right source with --source`,
      );
    }
    if (model.arch === "clip") {
      throw new UsageError(
        `${spec.source} is a multimodal projector (architecture clip): it is copied beside the model, not quantized`,
      );
    }
    const quantized = model.tensors.find(
      ({ name, type }) => isQuantizedType(type) && spec.expectedTypes.get(name) !== type,
    );
    if (quantized !== undefined && !options.allowRequantize) {
      throw new UsageError(
        `${spec.source} is already quantized (${quantized.name} is ${quantized.type}); quantize from the f16, bf16 or f32 file, or accept the double loss with --allow-requantize`,
      );
    }
    return { alignment: model.alignment, paths: model.shards.map(({ path }) => resolve(path)) };
  } finally {
    await file.close();
  }
}

async function checkOutput(spec: QuantizeSpec, sources: readonly string[], force: boolean): Promise<void> {
  if (sources.includes(resolve(spec.output))) {
    throw new UsageError(`the output ${spec.output} is the source; choose another name with -o`);
  }
  if (!force && (await fileExists(spec.output))) {
    throw new UsageError(`${spec.output} exists already; give --force to replace it, or another name with -o`);
  }
  const folder = dirname(resolve(spec.output));
  const disk = await statfs(folder).catch(() => undefined);
  if (disk !== undefined && disk.bavail * disk.bsize < spec.expectedBytes + SPARE_BYTES) {
    throw new FileError(
      spec.output,
      `needs ${spec.expectedBytes.toLocaleString("en-US")} bytes, but ${folder} has ${(disk.bavail * disk.bsize).toLocaleString("en-US")} free; free some or choose another folder`,
    );
  }
}

async function verify(path: string, spec: QuantizeSpec): Promise<void> {
  const file = await openModel(path);
  try {
    const { model } = file;
    const problems: string[] = [];
    for (const { name, type } of model.tensors) {
      const expected = spec.expectedTypes.get(name);
      if (expected !== type) problems.push(`${name} is ${type}, expected ${expected ?? "no such tensor"}`);
    }
    if (model.tensors.length !== spec.expectedTypes.size) {
      problems.push(`${model.tensors.length} tensors, expected ${spec.expectedTypes.size}`);
    }
    const bytes = model.shards.reduce((sum, shard) => sum + shard.fileBytes, 0);
    if (bytes !== spec.expectedBytes) problems.push(`${bytes} bytes, expected ${spec.expectedBytes}`);
    if (problems.length > 0) {
      const shown = problems.slice(0, 5).join("; ");
      const more = problems.length > 5 ? `; and ${problems.length - 5} more` : "";
      throw new PrismError(
        "verification",
        1,
        `${spec.output}: the quantized file is not what was planned: ${shown}${more}. It was not kept; please report this with the plan and the llama.cpp version`,
      );
    }
  } finally {
    await file.close();
  }
}
