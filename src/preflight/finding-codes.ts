/** Every code a finding can have, how bad it is, what llama.cpp makes of it, and what it means: what docs/preflight.md lists. */

export type Severity = "error" | "warning" | "info";

/** `refused`: llama.cpp does not load the file, or aborts; `misbehaves`: it does, and something is wrong; `differs`: it works. */
export type Effect = "refused" | "misbehaves" | "differs";

interface CodeMeaning {
  /** Several where it depends on the model. */
  readonly severities: readonly Severity[];
  readonly meaning: string;
  readonly effect: Effect;
  /** Of it as a warning, where that is another. */
  readonly asWarning?: Effect;
  /** prism repair can mend it, at least in some files. */
  readonly repairable?: true;
}

const error = (meaning: string, effect: Effect = "refused"): CodeMeaning => ({
  severities: ["error"],
  meaning,
  effect,
});
const warning = (meaning: string, effect: Effect = "misbehaves"): CodeMeaning => ({
  severities: ["warning"],
  meaning,
  effect,
});
/** What llama.cpp refuses in some files, and loads in others to tokenize wrong. */
const refusedOrWarned = (meaning: string): CodeMeaning => ({
  severities: ["error", "warning"],
  meaning,
  effect: "refused",
  asWarning: "misbehaves",
});
const info = (meaning: string): CodeMeaning => ({ severities: ["info"], meaning, effect: "differs" });
const repairable = (code: CodeMeaning): CodeMeaning => ({ ...code, repairable: true });

export const FINDING_CODES = {
  unreadable: error("the header is damaged, hostile, or of no GGUF file"),
  truncated: error("the file ends before its header or its data does"),
  "shards-incomplete": error("a shard of the set can't be opened"),
  "shards-inconsistent": error("the shards contradict each other or their names"),
  "tensor-data-gap": error("the data of a tensor does not begin where the one before it ends"),
  "alignment-not-32": repairable(
    warning("general.alignment is not 32, which llama-quantize turns into an unreadable file"),
  ),
  "no-architecture": error("no general.architecture: not a model"),
  projector: warning("general.architecture is clip: an image or audio projector, which is not quantized", "differs"),
  "unknown-architecture": warning("llama.cpp v0.5.0 does not know the architecture", "refused"),
  "key-missing": error("a key that the architecture requires is not there"),
  "key-type": repairable(error("the value of a key has another type than llama.cpp asks for")),
  "key-length": repairable(error("a list that has a value for each layer has another length than block_count")),
  "hyperparameter-range": error("a hyperparameter has a value that llama.cpp refuses, or ends at"),
  "file-type-missing": repairable(info("no general.file_type, which says by which preset a file was made")),
  "tensor-shape": error("a tensor has another shape than the hyperparameters and the vocabulary ask for"),
  "tensor-missing": error("a tensor that the architecture requires is not there"),
  "tensor-unknown": repairable(
    error("a tensor that the architecture does not know, for which llama.cpp refuses the file"),
  ),
  "engine-refuses": error("the embedded llama.cpp does not load the file, or aborts, and no other finding says why"),
  "already-quantized": {
    severities: ["error", "warning"],
    meaning: "weights are in a quantized type",
    effect: "differs",
  },
  "weights-unconvertible": error(
    "weights that llama-quantize fails on: of four dimensions, or of a type it can't read",
    "misbehaves",
  ),
  "block-count-mismatch": repairable(error("block_count is not the number of layers in the file")),
  "nextn-layers-missing": repairable(error("block_count counts MTP layers that the file does not have")),
  "layer-gap": error("a layer in between has no tensors"),
  "pooling-type": repairable(error("pooling_type is of a type that llama.cpp refuses, or no pooling that it knows")),
  "rank-head-missing": repairable(error("pooling_type is rank, but there is no classification head", "misbehaves")),
  "rank-head-shape": error("the classification head does not fit the model", "misbehaves"),
  "rank-labels-mismatch": repairable(error("the head has another number of rows than there are labels")),
  "rank-head-constant": error(
    "the rows of the classification head are equal, so that every score is the same",
    "misbehaves",
  ),
  "rank-labels-swapped": repairable(
    warning("the head's labels stand in the order no, yes, and llama-server reports the first"),
  ),
  "rank-labels-unnamed": warning("a head of two rows whose labels don't say which of them means relevant", "differs"),
  "rank-bos-eos": repairable(warning("a causal reranker whose tokenizer adds tokens around the prompt")),
  "rank-think-missing": warning(
    "the rerank template has a <think> block and the vocabulary no such token, or the other way round",
  ),
  "special-token-normal": repairable(warning("special tokens of the chat template are typed as text")),
  "rank-template-missing": repairable(
    error("a prompted reranker has no rerank template, or one without {query} and {document}", "misbehaves"),
  ),
  "rank-pooling-missing": repairable({
    severities: ["warning", "info"],
    meaning: "there is a head, labels or a rerank template, but pooling_type is not rank",
    effect: "differs",
  }),
  "rank-markers-absent": repairable(
    warning("named a reranker, of an architecture with a rank head, but without any marker of one"),
  ),
  "rank-unsupported": repairable(
    error("rank markers on an architecture for which llama.cpp creates no head", "misbehaves"),
  ),
  "reranker-known-wrong": warning("a reranker that is known to score wrong in llama.cpp"),
  "reranker-known": info("what is known of this kind of reranker"),
  "token-embd-missing": warning("no token embedding"),
  "tokenizer-missing": { severities: ["error", "warning"], meaning: "no tokenizer", effect: "refused" },
  "tokenizer-none": warning("the file says that it has no vocabulary"),
  "tokenizer-unknown": error("a tokenizer that llama.cpp v0.5.0 does not know"),
  "tokenizer-key-type": repairable(error("a key of the tokenizer is stored in a type that llama.cpp refuses")),
  "tokenizer-incomplete": error("no tokens, or no merges where the tokenizer needs them"),
  "pre-tokenizer": refusedOrWarned("a pre-tokenizer that llama.cpp v0.5.0 does not know, or none"),
  "merges-malformed": warning("merges that are not two parts with a space between"),
  "vocabulary-lengths": refusedOrWarned("scores or token types of another number than the tokens"),
  "scores-missing": warning("no scores where the tokenizer chooses by them"),
  "token-repeated": error("a token stands in the vocabulary twice"),
  "token-empty": warning("a token without text"),
  "token-type-unknown": warning("a type of token that llama.cpp does not know"),
  "byte-token-name": refusedOrWarned("a token that is typed as a byte and names none"),
  "byte-tokens-missing": refusedOrWarned("bytes that a text can have and the vocabulary no token for"),
  "phi-3-tokens": error("named phi-3, without the tokens that llama.cpp looks for in a model of that name"),
  "special-token-range": warning("the id of a special token is beyond the vocabulary"),
  "special-token-absent": error("no token for what llama.cpp puts around each text"),
  "special-token-default": warning("no id of a special token, for which llama.cpp takes another token"),
  "charsmap-damaged": refusedOrWarned("the table by which text is normalized leads out of itself"),
  "vocabulary-rows": error("the token list has another number of entries than the embedding has rows"),
  "token-kind-rows": repairable(error("token_type_count is not the number of rows of token_types.weight")),
  "chat-template-missing": info("no chat template"),
  "mmproj-beside": info("an image or audio projector lies beside the model"),
  "weights-not-finite": error("weights are NaN or infinite", "misbehaves"),
  "weights-all-zero": warning("a weight matrix is zero throughout", "differs"),
  "weights-on-lattice": warning(
    "weights lie on a coarse lattice: they were quantized before, or trained for it",
    "differs",
  ),
  "row-size-fallback": info("rows that K-quants can't hold"),
  "not-eligible": info("weights that stay as they are in every preset"),
} as const satisfies Readonly<Record<string, CodeMeaning>>;

export type FindingCode = keyof typeof FINDING_CODES;

export interface Finding {
  readonly code: FindingCode;
  /** `error`: the result would be broken or refused; `warning`: something later will not work; `info`: good to know. */
  readonly severity: Severity;
  readonly message: string;
  readonly remedy: string;
}

export function effectOf({ code, severity }: Pick<Finding, "code" | "severity">): Effect {
  const { effect, asWarning }: CodeMeaning = FINDING_CODES[code];
  return (severity === "warning" ? asWarning : undefined) ?? effect;
}

/** What ends in no file that llama.cpp loads: work on the model stops here. */
export function isRefused(finding: Pick<Finding, "code" | "severity">): boolean {
  return finding.severity === "error" && effectOf(finding) === "refused";
}

/** Whether prism repair mends it, where it finds something to do in the file at all. */
export function isMendable({ code }: Pick<Finding, "code">): boolean {
  const meaning: CodeMeaning = FINDING_CODES[code];
  return meaning.repairable ?? false;
}
