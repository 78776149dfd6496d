/** A budget in the words of a machine: the memory of its GPU, the context that is to fit, and what else is there. */
import { parseSize } from "../allocate/budget.ts";
import { UsageError } from "../errors.ts";
import { F16_CACHE, type KvTypes } from "../footprint/context-size.ts";
import { parseTensorType, type TensorType } from "../ggml/tensor-types.ts";
import type { MemoryQuestion } from "../preflight/inspect-memory.ts";
import { MOST_CONTEXTS } from "../preflight/inspection.ts";

export interface VramRequest {
  /** The memory of the GPU that the model is to run in: bytes, or a text like 6GB. */
  readonly vram?: number | string | undefined;
  /** Memory of the machine for the experts of a model that has some: bytes, or a text like 32GB. */
  readonly ram?: number | string | undefined;
  /** Tokens of context, of all sequences together. Default 8192, or what the model was trained on where that is less. */
  readonly ctx?: number | string | undefined;
  /** Type of keys and values, like q8_0; of keys, then of values, like "q8_0,q4_0". Default f16. */
  readonly kv?: string | undefined;
  /** The projector (mmproj) that is loaded beside the model: a path, hf: or https:. */
  readonly mmproj?: string | undefined;
  /** Sequences at a time, which share the context out. Default 1. */
  readonly parallel?: number | string | undefined;
}

/** What is asked for, before the model is known. */
export interface VramWish {
  readonly kind: "vram";
  readonly vramBytes: number;
  /** As it was typed. */
  readonly vram: string;
  readonly ramBytes: number | undefined;
  readonly ram: string | undefined;
  readonly context: number | undefined;
  readonly kv: KvTypes;
  readonly sequences: number;
  readonly mmproj: string | undefined;
}

/** The same, to look at: at several contexts, and without a memory too. */
export interface MemoryRequest extends Omit<VramRequest, "ctx" | "ram"> {
  /** Contexts: a list, or a text like "4k,32k". Default: 4k, 8k, 32k and 128k, as far as the model was trained. */
  readonly ctx?: readonly (number | string)[] | number | string | undefined;
}

/** Types of llama.cpp's caches (kv_cache_types of common/arg.cpp). */
const KV_TYPES: readonly TensorType[] = ["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "IQ4_NL", "Q4_1", "Q4_0"];
const MOST_TOKENS = 2 ** 31 - 1;
/** LLAMA_MAX_SEQ of llama.cpp's src/llama-cparams.h. */
const MOST_SEQUENCES = 256;

/** Parse it; undefined where no memory is given. Throws UsageError. */
export function vramOf({ vram, ram, ctx, kv, mmproj, parallel }: VramRequest): VramWish | undefined {
  if (vram === undefined) {
    const [first] = Object.entries({ ram, ctx, kv, mmproj, parallel }).filter(([, value]) => value !== undefined);
    if (first === undefined) return undefined;
    throw new UsageError(`--${first[0]} ${first[1]}: goes with a GPU's memory; give that too, like --vram 6GB`);
  }
  const sequences = parallel === undefined ? 1 : wholeNumber("--parallel", parallel, MOST_SEQUENCES);
  const context = ctx === undefined ? undefined : wholeNumber("--ctx", ctx, MOST_TOKENS);
  if (context !== undefined && context < sequences) {
    throw new UsageError(`--ctx ${context} --parallel ${sequences}: less than a token a sequence; give a larger --ctx`);
  }
  return {
    kind: "vram",
    vramBytes: parseSize(String(vram)),
    vram: String(vram),
    ramBytes: ram === undefined ? undefined : parseSize(String(ram)),
    ram: ram === undefined ? undefined : String(ram),
    context,
    kv: kv === undefined ? F16_CACHE : parseKv(kv),
    sequences,
    mmproj,
  };
}

/** Parse a question of memory, but for its projector. Throws UsageError. */
export function memoryQuestionOf({ vram, ctx, kv, parallel }: MemoryRequest): MemoryQuestion {
  const words = typeof ctx === "object" ? ctx : ctx === undefined ? undefined : String(ctx).split(",");
  const contexts = words?.map((word) => wholeNumber("--ctx", word, MOST_TOKENS));
  if (contexts !== undefined && (contexts.length === 0 || contexts.length > MOST_CONTEXTS)) {
    throw new UsageError(`--ctx: expected 1 to ${MOST_CONTEXTS} contexts, got ${contexts.length}`);
  }
  return {
    vramBytes: vram === undefined ? undefined : parseSize(String(vram)),
    contexts: contexts && [...new Set(contexts)].sort((a, b) => a - b),
    kv: kv === undefined ? undefined : parseKv(kv),
    sequences: parallel === undefined ? undefined : wholeNumber("--parallel", parallel, MOST_SEQUENCES),
  };
}

/** Types of caches that files are judged with besides F16, which everything is judged with. Throws UsageError. */
export function cacheToJudge(kv: string | undefined): KvTypes | undefined {
  const types = kv === undefined ? undefined : parseKv(kv);
  return types?.k === "F16" && types.v === "F16" ? undefined : types;
}

/** `--kv q8_0`. */
function parseKv(text: string): KvTypes {
  const types = text.split(",").map((word) => {
    const type = parseTensorType(word.trim());
    if (type !== undefined && KV_TYPES.includes(type)) return type;
    throw new UsageError(
      `--kv "${text}": expected a type of llama.cpp's cache, one of ${KV_TYPES.join(", ").toLowerCase()}; or two, of keys and of values: q8_0,q4_0`,
    );
  });
  const [k, v = k, ...more] = types;
  if (k !== undefined && v !== undefined && more.length === 0) return { k, v };
  throw new UsageError(`--kv "${text}": expected one type, or two: of keys and of values, like q8_0,q4_0`);
}

/** `8192`, `32k`: what people call a context. */
function wholeNumber(option: string, given: number | string, most: number): number {
  const [, digits = "", thousands] = /^\s*(\d+)\s*(k?)\s*$/i.exec(String(given)) ?? [];
  const value = digits === "" ? Number.NaN : Number(digits) * (thousands ? 1024 : 1);
  if (value >= 1 && value <= most) return value;
  throw new UsageError(`${option}: expected a whole number from 1 to ${most}, got "${given}"`);
}
