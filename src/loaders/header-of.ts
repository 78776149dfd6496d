/** A model's header as the loader tables ask for it. */
import type { MetadataValue, Model } from "../gguf/model.ts";
import type { Value } from "./expression.ts";
import type { StoredType } from "./key-faults.ts";
import type { LoadedHeader } from "./run-loader.ts";

/** What of a model is looked at. */
export interface HeaderSubject extends Pick<Model, "arch" | "metadata" | "keyTypes"> {
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[];
  /** The layer counts that a repair gives it; values given per layer are taken for as many. */
  readonly layers?: { readonly count: number; readonly nextn: number };
}

/** Lists of a length of their own, which may happen to be the number of layers. */
export const NOT_PER_LAYER = /\.rope\.dimension_sections$/;

/** `shapes`: of the tensors, by name. */
export function headerOf(
  { arch, metadata, keyTypes, layers }: HeaderSubject,
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
function tokensOf({ arch, metadata, keyTypes }: Pick<Model, "arch" | "metadata" | "keyTypes">): number {
  const kind = metadata.get("tokenizer.ggml.model");
  if (kind === "no_vocab" || kind === "none") return Number(metadata.get(`${arch}.vocab_size`) ?? 0);
  return keyTypes.get("tokenizer.ggml.tokens")?.length ?? 0;
}

function plainValue(value: MetadataValue | undefined): Value | undefined {
  if (value === undefined || typeof value === "number" || typeof value === "string") return value;
  if (typeof value === "object") return value.map((element) => plainValue(element) ?? 0);
  return Number(value);
}
