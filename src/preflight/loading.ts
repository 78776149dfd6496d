/** A model's header against the loader table of its architecture: what llama.cpp would miss, refuse or not know. */

import type { MetadataValue, Model } from "../gguf/model.ts";
import type { Value } from "../loaders/expression.ts";
import type { KeyFault, StoredType } from "../loaders/key-faults.ts";
import { type AskedTensor, type LoadedHeader, runLoader } from "../loaders/run-loader.ts";

/** What of a model is looked at. */
export interface LoadingSubject extends Pick<Model, "arch" | "metadata" | "keyTypes"> {
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[];
  /** The layer counts that a repair gives it; values given per layer are taken for as many. */
  readonly layers?: { readonly count: number; readonly nextn: number };
}

export interface MisshapenTensor extends AskedTensor {
  readonly got: readonly number[];
}

export interface Loading {
  readonly keys: readonly KeyFault[];
  /** Why a value ends the load. */
  readonly refusal?: string;
  readonly missing: readonly string[];
  /** Names that the architecture does not know. */
  readonly extra: readonly string[];
  readonly misshapen: readonly MisshapenTensor[];
}

/** Lists of a length of their own, which may happen to be the number of layers. */
export const NOT_PER_LAYER = /\.rope\.dimension_sections$/;

const DIMENSIONS = [0, 1, 2, 3] as const;

/** Check; undefined for an architecture that llama.cpp does not load. */
export function checkLoading(subject: LoadingSubject): Loading | undefined {
  const shapes = new Map(subject.tensors.map(({ name, shape }) => [name, shape]));
  const report = runLoader(headerOf(subject, shapes));
  if (report === undefined) return undefined;
  const { keys, refusal, tensors, complete } = report;
  const missing = tensors.filter(({ name, optional }) => !optional && !shapes.has(name)).map(({ name }) => name);
  const misshapen = tensors.flatMap((asked) => {
    const got = shapes.get(asked.name);
    return got === undefined || fits(asked, got) ? [] : [{ ...asked, got }];
  });
  const known = new Set(tensors.map(({ name }) => name));
  const extra = complete ? [...shapes.keys()].filter((name) => !known.has(name) && !isScale(name, known)) : [];
  return { keys, ...(refusal !== undefined && { refusal }), missing: [...new Set(missing)], extra, misshapen };
}

function headerOf(
  { arch, metadata, keyTypes, layers }: LoadingSubject,
  shapes: ReadonlyMap<string, readonly number[]>,
): LoadedHeader {
  const stored = Number(metadata.get(`${arch}.block_count`) ?? 0);
  const overrides = new Map<string, number>(
    layers === undefined
      ? []
      : [
          [`${arch}.block_count`, layers.count],
          [`${arch}.nextn_predict_layers`, layers.nextn],
        ],
  );
  const perLayer = (key: string, type: StoredType) =>
    layers !== undefined && type.length === stored && stored !== layers.count && !NOT_PER_LAYER.test(key);
  return {
    arch,
    tokens: tokensOf({ arch, metadata, keyTypes }),
    tokenTypes: Number(metadata.get("tokenizer.ggml.token_type_count") ?? 0),
    keyType(key) {
      const type = keyTypes.get(key);
      if (overrides.has(key)) return type ?? { type: "u32" };
      return type !== undefined && layers !== undefined && perLayer(key, type)
        ? { ...type, length: layers.count }
        : type;
    },
    keyValue: (key) => overrides.get(key) ?? plainValue(metadata.get(key)),
    shape: (name) => shapes.get(name),
  };
}

/** llama.cpp's n_vocab: as many as the token list has, or as vocab_size says of a model without one. */
export function tokensOf({ arch, metadata, keyTypes }: Pick<Model, "arch" | "metadata" | "keyTypes">): number {
  const kind = metadata.get("tokenizer.ggml.model");
  if (kind === "no_vocab" || kind === "none") return Number(metadata.get(`${arch}.vocab_size`) ?? 0);
  return keyTypes.get("tokenizer.ggml.tokens")?.length ?? 0;
}

function plainValue(value: MetadataValue | undefined): Value | undefined {
  if (value === undefined || typeof value === "number" || typeof value === "string") return value;
  if (typeof value === "object") return value.map((element) => plainValue(element) ?? 0);
  return Number(value);
}

function fits({ shape, reshaped }: AskedTensor, got: readonly number[]): boolean {
  if (reshaped) return product(shape) === product(got);
  return DIMENSIONS.every((dimension) => (shape[dimension] ?? 1) === (got[dimension] ?? 1));
}

function product(shape: readonly number[]): number {
  return shape.reduce((total, width) => total * width, 1);
}

/** Quantized weights may have a scale beside them (load_tensors of src/llama-model.cpp). */
const SCALED =
  /^(?:blk\.\d+\.(?:attn_(?:q|k|v|output|qkv|gate)|ffn_(?:gate|down|up)(?:_shexp|_exps)?|ssm_(?:in|out|alpha|beta)|nextn\.(?:eh_proj|shared_head_head))|output)\.(?:input_)?scale$/;

function isScale(name: string, known: ReadonlySet<string>): boolean {
  return SCALED.test(name) && known.has(name.replace(/\.(input_)?scale$/, ".weight"));
}
