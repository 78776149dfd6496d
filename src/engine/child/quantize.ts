/**
 * llama_model_quantize in the child process. What it decides per tensor is read from its log by the parent; the
 * quantize.imatrix.* keys, which llama-quantize's main adds rather than the library, are passed as overrides here.
 */
import { FILE_TYPES } from "../../ggml/file-types.ts";
import { TENSOR_TYPES } from "../../ggml/tensor-types.ts";
import { bytesOfText } from "../../gguf/raw-text.ts";
import type { QuantizeJob } from "../engine.ts";
import type { LlamaLibrary } from "./llama-library.ts";

export interface QuantizeCall
  extends Pick<QuantizeJob, "source" | "output" | "fileType" | "overrides" | "threads" | "notes"> {
  readonly dryRun: boolean;
  readonly allowRequantize: boolean;
  readonly fixAlignment: boolean;
  readonly imatrix?: ImatrixRequest | undefined;
}

interface ImatrixRequest {
  readonly file: string;
  readonly dataset: string;
  readonly entries: number;
  readonly chunks: number;
  readonly importance: ReadonlyMap<string, Float32Array>;
}

const KV_INT = 0;
const KV_STR = 3;
/** llama_model_kv_override.val_str, terminator included. */
const KV_STRING_BYTES = 128;

/** Returns llama_model_quantize's code: 0 is success. */
export function quantize(library: LlamaLibrary, request: QuantizeCall): number {
  const params = library.quantizeDefaults();
  params.nthread = request.threads;
  params.ftype = FILE_TYPES[request.fileType].id;
  params.dry_run = request.dryRun;
  params.allow_requantize = request.allowRequantize;
  if (request.overrides.length > 0) {
    params.tt_overrides = [
      ...request.overrides.map(({ pattern, type }) => ({ pattern, type: TENSOR_TYPES[type].id })),
      { pattern: null, type: TENSOR_TYPES.F32.id },
    ];
  }
  const notes = [...(request.notes ?? [])].map(([key, text]) => stringKey(key, text));
  const keyValues = [
    ...imatrixKeys(request),
    ...notes,
    ...(request.fixAlignment ? [intKey("general.alignment", 32)] : []),
  ];
  if (keyValues.length > 0) {
    params.kv_overrides = [...keyValues, { tag: KV_INT, key: cString("", 128), pad: 0, value: new Uint8Array(128) }];
  }
  if (request.imatrix !== undefined) {
    params.imatrix = [
      ...[...request.imatrix.importance].map(([name, data]) => ({ name, data, size: data.length })),
      { name: null, data: null, size: 0 },
    ];
  }
  return library.quantize(request.source, request.output, params);
}

/** The keys tools/quantize/quantize.cpp adds when it has an imatrix, in its order. */
function imatrixKeys({ imatrix }: QuantizeCall) {
  if (imatrix === undefined) return [];
  return [
    stringKey("quantize.imatrix.file", imatrix.file),
    ...(imatrix.dataset === "" ? [] : [stringKey("quantize.imatrix.dataset", imatrix.dataset)]),
    intKey("quantize.imatrix.entries_count", imatrix.entries),
    ...(imatrix.chunks > 0 ? [intKey("quantize.imatrix.chunks_count", imatrix.chunks)] : []),
  ];
}

function stringKey(key: string, text: string) {
  return { tag: KV_STR, key: cString(key, 128), pad: 0, value: cString(text, KV_STRING_BYTES) };
}

function intKey(key: string, number: number) {
  const value = new Uint8Array(128);
  new DataView(value.buffer).setBigInt64(0, BigInt(number), true);
  return { tag: KV_INT, key: cString(key, 128), pad: 0, value };
}

function cString(text: string, room: number): Uint8Array {
  const bytes = new Uint8Array(room);
  bytes.set(bytesOfText(text).subarray(0, room - 1));
  return bytes;
}
