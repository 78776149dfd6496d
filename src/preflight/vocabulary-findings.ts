/**
 * Findings about a model's vocabulary: what llama.cpp refuses to load, what it ends its process on, and what it loads and
 * tokenizes wrong. Follows `llama_vocab::impl::load` of src/llama-vocab.cpp (llama.cpp v0.5.0).
 */
import { formatCount } from "../bytes/source.ts";
import { ARCHITECTURES } from "../ggml/architectures.ts";
import { MERGELESS_PRE_TOKENIZER, PRE_TOKENIZERS, TOKENIZER_MODELS } from "../ggml/tokenizer-facts.ts";
import type { Model } from "../gguf/model.ts";
import { charsmapFindings } from "./charsmap-findings.ts";
import type { Finding } from "./finding-codes.ts";
import { keyTypeFindings } from "./key-type-findings.ts";
import { rwkvFindings } from "./rwkv-findings.ts";
import { specialTokenFindings } from "./special-token-findings.ts";
import { tokenFindings } from "./token-findings.ts";
import {
  arrayOf,
  MERGES_KEY,
  PRE_KEY,
  readVocabulary,
  SCORES_KEY,
  TOKENIZER_KEY,
  TOKENS_KEY,
  TYPES_KEY,
  type Vocabulary,
} from "./vocabulary.ts";
import { vocabularyRowFindings } from "./vocabulary-row-findings.ts";

const AGAIN = "convert the model again with its own tokenizer files";

/** Of a model with a tokenizer, of an architecture that llama.cpp knows. */
export function vocabularyFindings(model: Model): Finding[] {
  const name = model.metadata.get(TOKENIZER_KEY);
  if (name === undefined || !ARCHITECTURES.has(model.arch)) return [];
  const kind = TOKENIZER_MODELS.get(String(name));
  const findings = keyTypeFindings(model);
  if (typeof name !== "string") return findings;
  if (kind === undefined) return [unknownTokenizer(name), ...findings];
  if (kind === "none")
    return [
      noVocabulary(name),
      ...findings,
      ...vocabularyRowFindings(model, `${model.arch}.vocab_size says`, vocabSize(model)),
    ];
  const vocabulary = readVocabulary(model);
  if (vocabulary === undefined) {
    return model.metadata.has(TOKENS_KEY) ? findings : [...findings, absent(TOKENS_KEY, "the list of tokens")];
  }
  return [
    ...findings,
    ...preTokenizerFindings(vocabulary),
    ...mergeFindings(vocabulary),
    ...lengthFindings(vocabulary),
    ...tokenFindings(vocabulary),
    ...rwkvFindings(vocabulary),
    ...specialTokenFindings(vocabulary),
    ...charsmapFindings(vocabulary),
    ...vocabularyRowFindings(model, "the token list has", vocabulary.tokens.length),
  ];
}

function unknownTokenizer(name: string): Finding {
  return {
    code: "tokenizer-unknown",
    severity: "error",
    message: `${TOKENIZER_KEY} is ${JSON.stringify(name)}, expected one of ${[...TOKENIZER_MODELS.keys()].join(", ")}: llama.cpp refuses the file`,
    remedy: "convert the model again, or give a build of llama.cpp that knows it with --llama-dir",
  };
}

function noVocabulary(name: string): Finding {
  return {
    code: "tokenizer-none",
    severity: "warning",
    message: `${TOKENIZER_KEY} is ${JSON.stringify(name)}: llama.cpp loads the model and ends its process on the first text`,
    remedy: AGAIN,
  };
}

function absent(key: string, what: string): Finding {
  return {
    code: "tokenizer-incomplete",
    severity: "error",
    message: `the file has no ${key}, ${what} of this tokenizer: llama.cpp refuses it`,
    remedy: AGAIN,
  };
}

function preTokenizerFindings({ kind, pre }: Vocabulary): Finding[] {
  if (kind !== "bpe" || PRE_TOKENIZERS.has(pre)) return [];
  if (pre === "") {
    return [
      {
        code: "pre-tokenizer",
        severity: "warning",
        message: `the file has no ${PRE_KEY}: llama.cpp cuts text by a rule of its own, and the model answers worse`,
        remedy: AGAIN,
      },
    ];
  }
  return [
    {
      code: "pre-tokenizer",
      severity: "error",
      message: `llama.cpp v0.5.0 does not know the pre-tokenizer ${JSON.stringify(pre)} (${PRE_KEY}) and refuses the file`,
      remedy: "give a build that does with --llama-dir, or convert the model again",
    },
  ];
}

function mergeFindings({ kind, pre, model }: Vocabulary): Finding[] {
  if (kind !== "bpe") return [];
  if (!model.metadata.has(MERGES_KEY)) {
    return pre === MERGELESS_PRE_TOKENIZER ? [] : [absent(MERGES_KEY, "the list of merges")];
  }
  const merges = arrayOf(model, MERGES_KEY, ["string"])?.map(String) ?? [];
  const odd = merges.filter((merge) => !isMerge(merge));
  if (odd.length === 0) return [];
  return [
    {
      code: "merges-malformed",
      severity: "warning",
      message: `${formatCount(odd.length)} of ${formatCount(merges.length)} merges are not two parts with a space between (${JSON.stringify(odd[0])}): llama.cpp passes over them and cuts text otherwise`,
      remedy: AGAIN,
    },
  ];
}

/** llama.cpp looks for the space from the second byte on. */
function isMerge(merge: string): boolean {
  const space = merge.indexOf(" ", 1);
  return space > 0 && space < merge.length - 1 && !merge.includes(" ", space + 1);
}

/** Values that stand beside the tokens. */
function lengthFindings({ kind, model, tokens }: Vocabulary): Finding[] {
  const findings: Finding[] = [];
  for (const key of [SCORES_KEY, TYPES_KEY]) {
    const length = model.keyTypes.get(key)?.length;
    if (length === undefined || length === tokens.length) continue;
    findings.push({
      code: "vocabulary-lengths",
      severity: length < tokens.length ? "error" : "warning",
      message: `${key} has ${formatCount(length)} ${length === 1 ? "value" : "values"} for ${formatCount(tokens.length)} tokens: llama.cpp ${length < tokens.length ? "refuses the file" : "takes the first of them, which may be those of other tokens"}`,
      remedy: AGAIN,
    });
  }
  const isScored = kind === "spm" || kind === "ugm" || kind === "plamo2";
  if (isScored && !model.metadata.has(SCORES_KEY)) {
    findings.push({
      code: "scores-missing",
      severity: "warning",
      message: `the file has no ${SCORES_KEY}, by which this tokenizer chooses among tokens: llama.cpp takes 0 for all and cuts text otherwise`,
      remedy: AGAIN,
    });
  }
  return findings;
}

/** Of a model without a list of tokens. */
function vocabSize({ arch, metadata }: Model): number {
  return Number(metadata.get(`${arch}.vocab_size`) ?? 0);
}
