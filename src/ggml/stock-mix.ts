/**
 * The type that llama-quantize gives every tensor of a model under a preset.
 * In: the model's facts and its tensors. Out: a type per tensor, after row-size fallback; tensors that are not eligible
 * keep theirs. Follows `llama_model_quantize_impl` and `llama_tensor_get_type` (src/llama-quant.cpp, llama.cpp v0.5.0).
 * The mixes count tensors as they go, so the order is part of the rules.
 */
import { UsageError } from "../errors.ts";
import { attentionKType, attentionOutputType, attentionQType, attentionVType } from "./attention-rules.ts";
import { leftAloneReason } from "./eligibility.ts";
import { fallbackType } from "./fallback.ts";
import { ffnDownType, ffnUpType } from "./feed-forward-rules.ts";
import { FILE_TYPES, type FileType } from "./file-types.ts";
import type { ModelFacts } from "./model-facts.ts";
import { embeddingType, isLowest, type MixContext, mxfp4MoeType, outputType, type Rule } from "./stock-rules.ts";
import { isQuantizedType, type TensorType } from "./tensor-types.ts";

export interface RuleTensor {
  readonly name: string;
  /** ne, innermost dimension first. */
  readonly shape: readonly number[];
  /** The type in the source file. */
  readonly type: TensorType;
}

export interface StockOptions {
  /** An imatrix is given: true, or the names of its entries (an empty set is none). */
  readonly imatrix?: ReadonlySet<string> | boolean;
  /** --pure: the file type's own type everywhere. */
  readonly pure?: boolean;
  /** Types by tensor name, as anchored --tensor-type patterns give them. */
  readonly overrides?: ReadonlyMap<string, TensorType>;
}

type Category = "v" | "k" | "q" | "attnOutput" | "ffnUp" | "ffnGate" | "ffnDown" | "output" | "embedding" | "other";

// searched in this order, anywhere in the name (tensor_get_category)
const CATEGORIES: readonly (readonly [fragment: string, category: Category])[] = [
  ["attn_qkv.weight", "v"],
  ["attn_kv_b.weight", "v"],
  ["attn_v.weight", "v"],
  ["attn_k.weight", "k"],
  ["attn_q.weight", "q"],
  ["attn_output.weight", "attnOutput"],
  ["ffn_up", "ffnUp"],
  ["ffn_gate", "ffnGate"],
  ["ffn_down", "ffnDown"],
];

const RULES: Readonly<Partial<Record<Category, Rule>>> = {
  v: attentionVType,
  k: attentionKType,
  q: attentionQType,
  attnOutput: attentionOutputType,
  ffnUp: ffnUpType,
  ffnGate: ffnUpType,
  ffnDown: ffnDownType,
};

function categoryOf(name: string): Category {
  if (name === "output.weight") return "output";
  if (name === "token_embd.weight" || name === "per_layer_token_embd.weight") return "embedding";
  return CATEGORIES.find(([fragment]) => name.includes(fragment))?.[1] ?? "other";
}

const isFeedForward = (category: Category) => category.startsWith("ffn");

/** The number after `blk.`, or -1, as sscanf("blk.%d.") reads it. */
function blockNumber(name: string): number {
  return Number(/^blk\.\s*([+-]?\d+)/.exec(name)?.[1] ?? -1);
}

/**
 * The tensors in the order llama-quantize decides, writes and lists them in: those outside blocks first, then block by
 * block, by name within each. Also the order of the output file.
 */
export function outputOrder<T extends { readonly name: string }>(tensors: readonly T[]): T[] {
  return tensors
    .map((tensor) => ({ tensor, block: blockNumber(tensor.name) }))
    .sort((a, b) => a.block - b.block || (a.tensor.name < b.tensor.name ? -1 : 1))
    .map(({ tensor }) => tensor);
}

/** Whether llama.cpp takes the model for a 70B: LLM_TYPE_70B, which goes by architecture and layers without MTP. */
export function is70B(facts: ModelFacts): boolean {
  const trunk = facts.layers - facts.nextnLayers;
  switch (facts.arch) {
    case "llama":
    case "llama-embed":
      return trunk === 80 && facts.heads !== facts.kvHeads && facts.experts !== 8;
    case "qwen2":
    case "deci":
    case "olmo":
      return trunk === 80;
    case "jais2":
      return trunk === 68;
    default:
      return false;
  }
}

/**
 * The type of every tensor of the file llama-quantize makes under `fileType`, in output order; like its dry run, this
 * does not ask whether it can convert them (convertible.ts).
 * Throws UsageError where llama-quantize gives up: a type without a fallback for a tensor's rows, or experts' tensors
 * whose layer can't be told. A model without layers (an mmproj) gets the types of one without kv heads, but llama.cpp
 * aborts on it under the mixes that ask for heads (Q2_K, IQ4_XS and the like).
 */
export function stockTypes(
  facts: ModelFacts,
  tensors: readonly RuleTensor[],
  fileType: FileType,
  options: StockOptions = {},
): Map<string, TensorType> {
  if (fileType === "NVFP4") throw new UsageError("llama-quantize can't make NVFP4 files; choose another file type");
  const ordered = outputOrder(tensors);
  const tied = !ordered.some(({ name }) => name === "output.weight");
  const mix = mixContext(facts, ordered, fileType, options);
  const positions = new Map<Category, number>();
  const types = new Map<string, TensorType>();
  for (const tensor of ordered) {
    const { name, shape } = tensor;
    if (leftAloneReason(tensor) !== undefined) {
      types.set(name, tensor.type);
    } else if (!isQuantizedType(mix.base)) {
      types.set(name, mix.base);
    } else {
      const manual = options.overrides?.get(name) ?? (options.pure ? mix.base : undefined);
      types.set(name, fallbackType(manual ?? stockType(mix, tensor, tied, positions), shape[0] ?? 1));
    }
  }
  return types;
}

function mixContext(
  facts: ModelFacts,
  tensors: readonly RuleTensor[],
  fileType: FileType,
  { imatrix }: StockOptions,
): MixContext {
  return {
    fileType,
    base: FILE_TYPES[fileType].defaultType,
    arch: facts.arch,
    layers: facts.loadedLayers ?? facts.layers,
    experts: facts.experts,
    gqa: facts.kvHeads === 0 ? 0 : Math.trunc(facts.heads / facts.kvHeads),
    is70B: is70B(facts),
    hasImatrix: typeof imatrix === "object" ? imatrix.size > 0 : imatrix === true,
    vTensors: tensors.filter(({ name }) => categoryOf(name) === "v").length,
  };
}

/** The rule's choice for one tensor; counts it, so overridden tensors must not come here. */
function stockType(
  mix: MixContext,
  { name, shape }: RuleTensor,
  tied: boolean,
  positions: Map<Category, number>,
): TensorType {
  const category = categoryOf(name);
  if (category === "output" || (tied && category === "embedding")) return outputType(mix, shape[0] ?? 1);
  if (mix.fileType === "MXFP4_MOE") return mxfp4MoeType(mix, shape[2] ?? 1, isFeedForward(category));
  if (category === "embedding") return embeddingType(mix);
  const rule = RULES[category];
  if (!rule) return mix.base;
  const position = positions.get(category) ?? 0;
  positions.set(category, position + 1);
  // experts are not always consecutive, so llama.cpp goes by the name there
  const byLayer = isFeedForward(category) && mix.experts > 1 && !isLowest(mix.fileType);
  return rule(mix, byLayer ? layerOf(name, mix.layers) : position);
}

function layerOf(name: string, layers: number): number {
  const layer = blockNumber(name);
  if (layer >= 0 && layer < layers) return layer;
  throw new UsageError(
    `tensor ${name} should be in a layer from 0 to ${layers - 1}; llama-quantize refuses this model without --pure or an override for the tensor`,
  );
}
