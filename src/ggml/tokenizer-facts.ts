/**
 * What llama.cpp v0.5.0 knows of tokenizers, from `llama_vocab::impl::load` of src/llama-vocab.cpp: which there are, what it
 * takes where a file says nothing, and how each key must be stored.
 */

/** `enum llama_vocab_type`. */
export type TokenizerKind = "none" | "spm" | "bpe" | "wpm" | "ugm" | "rwkv" | "plamo2" | "test";

/** By tokenizer.ggml.model. */
export const TOKENIZER_MODELS: ReadonlyMap<string, TokenizerKind> = new Map([
  ["llama", "spm"],
  ["gpt2", "bpe"],
  ["bert", "wpm"],
  ["t5", "ugm"],
  ["rwkv", "rwkv"],
  ["plamo2", "plamo2"],
  ["gemma4", "bpe"],
  ["hybriddna", "bpe"],
  ["whitespace", "bpe"],
  ["test", "test"],
  ["none", "none"],
  ["no_vocab", "none"],
]);

/** Values of tokenizer.ggml.pre, which only BPE asks for. */
export const PRE_TOKENIZERS: ReadonlySet<string> = new Set([
  "a.x-4.0",
  "afmoe",
  "bailingmoe",
  "bailingmoe2",
  "bloom",
  "chameleon",
  "chatglm-bpe",
  "codeshell",
  "cohere2moe",
  "command-r",
  "dbrx",
  "deepseek-coder",
  "deepseek-llm",
  "deepseek-r1-qwen",
  "deepseek-v3",
  "exaone",
  "exaone-moe",
  "exaone4",
  "f2llmv2",
  "falcon",
  "falcon-h1",
  "falcon3",
  "gemma4",
  "gigachat",
  "glm4",
  "gpt-2",
  "gpt-4o",
  "gpt3-finnish",
  "granite-docling",
  "granite-embed-multi-311m",
  "granite-embed-multi-97m",
  "grok-2",
  "hunyuan",
  "hunyuan-dense",
  "hy_v4",
  "jais",
  "jais-2",
  "jina-de",
  "jina-es",
  "jina-v1-en",
  "jina-v2-code",
  "jina-v2-de",
  "jina-v2-es",
  "jina-v5-nano",
  "joyai-llm",
  "kanana2",
  "kimi-k2",
  "kormo",
  "laguna",
  "lfm2",
  "llada-moe",
  "llama-bpe",
  "llama-v3",
  "llama3",
  "llama4",
  "megrez",
  "mellum",
  "mellum2",
  "midm-2.0",
  "minerva-7b",
  "minicpm5",
  "minimax-m2",
  "modern-bert",
  "mpt",
  "olmo",
  "phi-2",
  "pixtral",
  "poro-chat",
  "qwen2",
  "qwen35",
  "refact",
  "roberta-bpe",
  "sarvam-moe",
  "seed-coder",
  "smaug-bpe",
  "smollm",
  "solar-open",
  "spark2_5",
  "stablelm2",
  "starcoder",
  "superbpe",
  "talkie",
  "tekken",
  "tiny_aya",
  "trillion",
  "ufakzeka",
  "viking",
  "whitespace",
  "youtu",
]);

/** Of these, the ones that put a BOS before a text where tokenizer.ggml.add_bos_token is absent. */
export const BOS_PRE_TOKENIZERS: ReadonlySet<string> = new Set([
  "chameleon",
  "falcon-h1",
  "falcon3",
  "jina-v5-nano",
  "lfm2",
  "llama-bpe",
  "llama-v3",
  "llama3",
  "midm-2.0",
  "pixtral",
  "tekken",
]);

/** The ones that put a BOS before a text whatever add_bos_token says. */
export const ALWAYS_BOS_PRE_TOKENIZERS: ReadonlySet<string> = new Set(["gemma4", "granite-embed-multi-311m"]);

/** The ones that read text as it is, not as GPT-2's letters for bytes. */
export const RAW_PRE_TOKENIZERS: ReadonlySet<string> = new Set([
  "gemma4",
  "granite-embed-multi-311m",
  "sarvam-moe",
  "whitespace",
]);

/** The ones that have no BOS unless the file names one. */
export const NO_BOS_PRE_TOKENIZERS: ReadonlySet<string> = new Set(["chatglm-bpe", "glm4"]);

/** The one that needs no merges. */
export const MERGELESS_PRE_TOKENIZER = "kimi-k2";

export type SpecialToken = "bos" | "eos" | "unknown" | "seperator" | "padding" | "mask";

/** Ids of special tokens where a file names none. */
export const DEFAULT_TOKENS: Readonly<Record<TokenizerKind, Readonly<Partial<Record<SpecialToken, number>>>>> = {
  none: {},
  spm: { bos: 1, eos: 2, unknown: 0 },
  bpe: { bos: 11, eos: 11 },
  wpm: { bos: 101, unknown: 100, seperator: 102, padding: 0, mask: 103 },
  ugm: { eos: 1, unknown: 2, padding: 0 },
  rwkv: {},
  plamo2: { bos: 1, eos: 2, unknown: 0, padding: 3 },
  test: {},
};

/** `enum llama_token_type`: 0 (undefined) to 6 (byte). */
export const LAST_TOKEN_TYPE = 6;
export const BYTE_TOKEN_TYPE = 6;

/** Keys with the id of a token; a tokenizer.ggml.cls_token_id is not read. */
export const TOKEN_ID_KEYS: readonly string[] = [
  "bos",
  "eos",
  "eot",
  "eom",
  "unknown",
  "seperator",
  "padding",
  "mask",
  "fim_pre",
  "fim_suf",
  "fim_mid",
  "fim_pad",
  "fim_rep",
  "fim_sep",
  "prefix",
  "suffix",
  "middle",
].map((name) => `tokenizer.ggml.${name}_token_id`);

type Stored = "string" | "bool" | "u32" | "i32" | "f32" | "i8" | "u8";

export interface StoredAs {
  /** The type of the value, or the types that the elements of an array may have. */
  readonly type: Stored | readonly Stored[];
  /** Read of a file without a vocabulary too. */
  readonly always?: true;
  /** Asked for by this kind of tokenizer only. */
  readonly kind?: TokenizerKind;
}

/** How llama.cpp wants each key to be stored; it refuses a file with one that is stored otherwise. */
export const TOKENIZER_KEYS: ReadonlyMap<string, StoredAs> = new Map<string, StoredAs>([
  ["general.name", { type: "string", always: true }],
  ["tokenizer.ggml.model", { type: "string", always: true }],
  ["tokenizer.ggml.pre", { type: "string", always: true }],
  ["tokenizer.ggml.token_type_count", { type: "u32", always: true }],
  ["tokenizer.ggml.tokens", { type: ["string"] }],
  ["tokenizer.ggml.merges", { type: ["string"], kind: "bpe" }],
  ["tokenizer.ggml.precompiled_charsmap", { type: ["i8", "u8"], kind: "ugm" }],
  ["tokenizer.ggml.scores", { type: ["f32", "i32"] }],
  ["tokenizer.ggml.token_type", { type: ["i32"] }],
  ["tokenizer.ggml.suppress_tokens", { type: ["i32"] }],
  ...TOKEN_ID_KEYS.map((key): [string, StoredAs] => [key, { type: "u32" }]),
  ...[
    "add_bos_token",
    "add_eos_token",
    "add_sep_token",
    "add_space_prefix",
    "remove_extra_whitespaces",
    "normalizer.lowercase",
    "normalizer.strip_accents",
  ].map((name): [string, StoredAs] => [`tokenizer.ggml.${name}`, { type: "bool" }]),
]);

/** Architectures that read `<arch>.vocab_size`, a u32; others do where the file has no vocabulary. */
export const VOCAB_SIZE_ARCHITECTURES: ReadonlySet<string> = new Set(["llama", "llama-embed", "deepseek2", "mistral4"]);

/** Tokens that llama.cpp looks up, and ends without, where general.name has "phi-3" or "phi3" in it. */
export const PHI3_TOKENS: readonly string[] = ["</s>", "<unk>", "<s>", "<|endoftext|>"];
/** It does not where an earlier rule of its takes the model: by a part of its pre-tokenizer, or of its architecture. */
export const NOT_PHI3_PRE = /jina-v2-(?:de|es|code)/;
export const NOT_PHI3_ARCHITECTURE = /nomic-bert-moe|jina-bert-v3/;

/** Tensors with a row for each token, and the architectures in which they have other rows. */
export const ROW_PER_TOKEN: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["token_embd.weight", new Set(["eagle3"])],
  ["output.weight", new Set(["eagle3", "dflash", "wavtokenizer-dec", "qwen3tts"])],
  ["output.bias", new Set(["wavtokenizer-dec"])],
  ["per_layer_token_embd.weight", new Set<string>()],
]);
