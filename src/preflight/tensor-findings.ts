/** Findings about keys and tensors that llama.cpp asks for while it loads: absent ones, others than it expects, unknown ones. */

import type { ModelFacts } from "../ggml/model-facts.ts";
import type { Model } from "../gguf/model.ts";
import { MAX_LAYERS } from "../loaders/hyperparameters.ts";
import type { KeyFault } from "../loaders/key-faults.ts";
import type { Finding } from "./finding-codes.ts";
import { checkLoading, type Loading, type MisshapenTensor } from "./loading.ts";

/** Names in a message; more are counted. */
const NAMED_TENSORS = 6;
const NAMED_SHAPES = 3;

const CONVERT = "convert or download the model again";

/** What llama.cpp's hyperparameters are called in a file. */
const KEY_OF: Readonly<Record<string, string>> = {
  n_embd: "embedding_length",
  n_vocab: "the number of tokens",
  n_ff: "feed_forward_length",
  n_head: "attention.head_count",
  n_head_kv: "attention.head_count_kv",
  n_embd_head_k: "attention.key_length",
  n_embd_head_v: "attention.value_length",
  n_embd_k_gqa: "attention.key_length * attention.head_count_kv",
  n_embd_v_gqa: "attention.value_length * attention.head_count_kv",
  n_embd_gqa: "attention.value_length * attention.head_count_kv",
  n_rot: "rope.dimension_count",
  n_expert: "expert_count",
  n_ff_exp: "expert_feed_forward_length",
  n_token_types: "token_type_count",
};

/**
 * Find what llama.cpp refuses by the loader table; nothing of an architecture without one. `headTold`: that the rank head has
 * another number of rows than there are labels is said already.
 */
export function loadingFindings(model: Model, facts: ModelFacts, { headTold = false } = {}): Finding[] {
  const loading = checkLoading(model);
  if (loading === undefined) return [];
  const keys = loading.keys.filter((fault) => !hasOwnFinding(fault, model));
  return [
    ...keys.map(keyFinding),
    ...rangeFindings(model, facts, loading),
    ...tensorFindings(model, withoutOwnFindings(model, facts, loading, headTold)),
  ];
}

/** The count of layers, the pooling and what belongs to the vocabulary are looked at for themselves. */
export function hasOwnFinding({ key, problem }: KeyFault, { arch, tensors }: Model): boolean {
  const elsewhere = ["general.name", `${arch}.vocab_size`, `${arch}.pooling_type`];
  return (
    elsewhere.includes(key) ||
    key.startsWith("tokenizer.") ||
    (key === `${arch}.block_count` && problem === "absent" && tensors.some(({ name }) => name.startsWith("blk.")))
  );
}

const OF_VOCABULARY = /^(token_embd|output|per_layer_token_embd|token_types)\.(weight|bias)$/;
const VOCABULARY_TERMS: ReadonlySet<string> = new Set(["n_vocab", "n_token_types"]);

/** Whether only the number of tokens is another than the tensor's rows. */
function isOfTokens({ name, shape, got, terms }: MisshapenTensor): boolean {
  const axes = terms.split(", ");
  return (
    OF_VOCABULARY.test(name) &&
    axes.every((term, axis) => VOCABULARY_TERMS.has(term) || shape[axis] === (got[axis] ?? 1))
  );
}

function keyFinding({ key, problem, expected, got }: KeyFault): Finding {
  switch (problem) {
    case "absent":
      return {
        code: "key-missing",
        severity: "error",
        message: `the key ${key} (${expected}) is missing: llama.cpp refuses the file`,
        remedy: CONVERT,
      };
    case "type":
      return {
        code: "key-type",
        severity: "error",
        message: `${key} is stored as ${got}, expected ${expected}: llama.cpp refuses the file`,
        remedy: `prism repair stores it as ${expected} where the value allows that; or ${CONVERT}`,
      };
    default:
      return {
        code: "key-length",
        severity: "error",
        message: `${key} has ${got} values, expected ${expected}: llama.cpp refuses the file`,
        remedy: `prism repair makes the list anew where the tensors tell its values; or ${CONVERT}`,
      };
  }
}

function rangeFindings({ arch, tensors }: Model, { layers }: ModelFacts, { refusal }: Loading): Finding[] {
  // that no count or an absurd one is not that of the layers is said of the layers
  const isOfLayers = (layers < 1 || layers > MAX_LAYERS) && tensors.some(({ name }) => name.startsWith("blk."));
  if (refusal === undefined || isOfLayers) return [];
  return [
    {
      code: "hyperparameter-range",
      severity: "error",
      message: `${arch}: ${refusal}; llama.cpp refuses the file, or ends`,
      remedy: CONVERT,
    },
  ];
}

function tensorFindings(
  model: Model,
  { missing, extra, misshapen }: Pick<Loading, "missing" | "extra" | "misshapen">,
): Finding[] {
  const findings: Finding[] = [];
  if (missing.length > 0) {
    findings.push({
      code: "tensor-missing",
      severity: "error",
      message: `${model.arch} requires ${named(missing, NAMED_TENSORS)}: llama.cpp refuses the file (missing tensor)`,
      remedy: `${CONVERT}; a repair can't make up weights`,
    });
  }
  if (misshapen.length > 0) {
    findings.push({
      code: "tensor-shape",
      severity: "error",
      message: `${named(misshapen.map(shapeText), NAMED_SHAPES)}: llama.cpp refuses the file (wrong shape)`,
      remedy: `${CONVERT}; where a key is wrong, it is one of those in brackets`,
    });
  }
  if (extra.length > 0) {
    findings.push({
      code: "tensor-unknown",
      severity: "error",
      message: `${model.arch} has no ${named(extra, NAMED_TENSORS)}: llama.cpp refuses the file (wrong number of tensors)`,
      remedy: `prism repair renames or drops them; or ${CONVERT}`,
    });
  }
  return findings;
}

/** Layers without any tensor and layers too many have a finding of their own, and so have rank heads. */
function withoutOwnFindings(
  { tensors }: Model,
  { layers }: ModelFacts,
  { missing, extra, misshapen }: Loading,
  headTold: boolean,
) {
  const layerOf = (name: string) => /^blk\.(\d+)\./.exec(name)?.[1];
  const present = new Set(tensors.map(({ name }) => layerOf(name)));
  const isHead = (name: string) => name.startsWith("cls.");
  return {
    missing: missing.filter((name) => layerOf(name) === undefined || present.has(layerOf(name))),
    extra: extra.filter((name) => !isHead(name) && !(Number(layerOf(name) ?? -1) >= layers)),
    misshapen: misshapen.filter((tensor) => !(headTold && isHead(tensor.name)) && !isOfTokens(tensor)),
  };
}

function shapeText({ name, shape, got, terms }: MisshapenTensor): string {
  const keys = terms.replace(
    /\bh\.(\w+)(?:\(\w*\))?|\b[a-z]\w*\b/g,
    (term, member?: string) => KEY_OF[member ?? term] ?? term,
  );
  const kept = got.length > shape.length ? got : [...got, ...shape.slice(got.length).map(() => 1)];
  return `${name} is [${kept.join(", ")}], expected [${shape.join(", ")}] (${keys})`;
}

function named(names: readonly string[], most: number): string {
  const shown = names.slice(0, most).join(", ");
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
