/**
 * What a model's header alone shows to be wrong or worth knowing before any time is spent on it.
 * In comes a checked Model, out come findings with stable codes; nothing here reads data or throws.
 */

import { formatCount } from "../bytes/source.ts";
import { ARCHITECTURES } from "../ggml/architectures.ts";
import { paddedBytes } from "../ggml/file-bytes.ts";
import { givesHiddenStates, type ModelFacts } from "../ggml/model-facts.ts";
import { readFacts } from "../gguf/facts.ts";
import type { Model } from "../gguf/model.ts";
import { DEFAULT_ALIGNMENT } from "../gguf/value-types.ts";
import { conversionFindings } from "./conversion-findings.ts";
import { fileTypeFindings } from "./file-type-findings.ts";
import type { Finding } from "./finding-codes.ts";
import { layerFindings } from "./layer-findings.ts";
import { checkLoading } from "./loading.ts";
import { poolingFindings } from "./pooling-findings.ts";
import { promptFindings } from "./prompt-findings.ts";
import { isCausalReranker, rankFindings } from "./rank-findings.ts";
import { requantizeFindings } from "./requantize-findings.ts";
import { rowFindings } from "./row-findings.ts";
import { loadingFindings } from "./tensor-findings.ts";
import { vocabularyFindings } from "./vocabulary-findings.ts";

/** All that a header shows: preflight, and what its rows cost in a stock preset. */
export function headerFindings(model: Model): Finding[] {
  const facts = readFacts(model);
  return [...preflight(model, facts), ...rowFindings(model, facts)];
}

/** Check a model's header. Findings come in a fixed order: the file, the architecture, its layers, its tokenizer. */
export function preflight(model: Model, facts: ModelFacts): Finding[] {
  const file = [...dataFindings(model), ...alignmentFindings(facts)];
  if (model.arch === "") {
    return [
      ...file,
      {
        code: "no-architecture",
        severity: "error",
        message: "the file has no general.architecture key: it is not a model that llama.cpp loads",
        remedy: "give the model's own GGUF; an imatrix goes to --imatrix",
      },
    ];
  }
  if (model.arch === "clip") {
    return [
      ...file,
      {
        code: "projector",
        severity: "warning",
        message: "general.architecture is clip: an image or audio projector (mmproj), which is copied, not quantized",
        remedy: "give the language model's GGUF and ship the projector beside it",
      },
    ];
  }
  const rank = rankFindings(model, facts);
  const headTold = rank.some(({ code }) => code === "rank-labels-mismatch");
  return [
    ...file,
    ...fileTypeFindings(model),
    ...requantizeFindings(model),
    ...conversionFindings(model, facts),
    ...architectureFindings(model),
    ...layerFindings(model, facts),
    ...loadingFindings(model, facts, { headTold }),
    ...poolingFindings(model),
    ...rank,
    ...promptFindings(model, { causal: isCausalReranker(model, facts) }),
    ...tokenizerFindings(model, facts),
    ...vocabularyFindings(model),
  ];
}

/** llama.cpp reads a file only if each tensor starts where the one before it ends, padded (gguf_init_from_reader). */
function dataFindings(model: Model): Finding[] {
  const ends = new Map<number, number>();
  for (const { name, shard, offset, bytes } of model.tensors) {
    const expected = ends.get(shard) ?? offset;
    if (offset !== expected) {
      return [
        {
          code: "tensor-data-gap",
          severity: "error",
          message: `tensor ${name} starts at ${formatCount(offset)}, expected ${formatCount(expected)}: llama.cpp refuses a file with gaps or reordered data`,
          remedy: "convert the model again",
        },
      ];
    }
    ends.set(shard, offset + paddedBytes(bytes, model.alignment));
  }
  return [];
}

function alignmentFindings(facts: ModelFacts): Finding[] {
  if (facts.alignment === DEFAULT_ALIGNMENT) return [];
  return [
    {
      code: "alignment-not-32",
      severity: "warning",
      message: `general.alignment is ${facts.alignment}: llama-quantize copies the key but pads to 32, which makes an unreadable file`,
      remedy: "prism repair sets it right; prism quantize pads right without (--override-kv general.alignment=int:32)",
    },
  ];
}

function architectureFindings(model: Model): Finding[] {
  if (ARCHITECTURES.has(model.arch)) return [];
  return [
    {
      code: "unknown-architecture",
      severity: "warning",
      message: `llama.cpp v0.5.0 does not know the architecture ${JSON.stringify(model.arch)}`,
      remedy: "give a build that does with --llama-dir, or check general.architecture for a spelling mistake",
    },
  ];
}

function tokenizerFindings(model: Model, facts: ModelFacts): Finding[] {
  const findings: Finding[] = [];
  // what an architecture requires is missing already
  const requires = checkLoading(model)?.missing.includes("token_embd.weight") ?? false;
  if (!requires && !model.tensors.some(({ name }) => name === "token_embd.weight")) {
    findings.push({
      code: "token-embd-missing",
      severity: "warning",
      message: "the model has no token_embd.weight, so it can't be evaluated by itself",
      remedy: "expected of draft models that share it; otherwise convert the model again",
    });
  }
  if (!model.metadata.has("tokenizer.ggml.model")) {
    findings.push({
      code: "tokenizer-missing",
      severity: ARCHITECTURES.has(model.arch) ? "error" : "warning",
      message:
        "the file has no tokenizer (no tokenizer.ggml.model key): it can be quantized, but llama.cpp refuses to load it",
      remedy: "convert the model again with its tokenizer files beside the weights",
    });
  }
  const takesChat = !givesHiddenStates(facts);
  if (takesChat && !model.metadata.has("tokenizer.chat_template")) {
    findings.push({
      code: "chat-template-missing",
      severity: "info",
      message: "the file has no tokenizer.chat_template: expected of a base model, a fault in a chat model",
      remedy: "for a chat model, convert again with its tokenizer_config.json or chat_template.jinja",
    });
  }
  return findings;
}
