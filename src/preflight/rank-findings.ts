/**
 * Findings about rerankers. A correct conversion has all of: `<arch>.pooling_type` = 4, one label per row of the head, a
 * `cls` tensor and, for prompted rerankers, `tokenizer.chat_template.rerank`. llama.cpp loads a file without them and
 * gives near-constant scores (`build_pooling`, src/llama-graph.cpp, llama.cpp v0.5.0).
 */

import { basename } from "node:path";
import { givesHiddenStates, type ModelFacts } from "../ggml/model-facts.ts";
import {
  PROMPTED_RANK_ARCHITECTURES,
  RANK_HEAD_ARCHITECTURES,
  type RerankerRow,
  rerankerRow,
} from "../ggml/reranker-architectures.ts";
import type { Model, TensorInfo } from "../gguf/model.ts";
import { present } from "../present.ts";
import type { Finding } from "./finding-codes.ts";
import { labelFindings } from "./label-findings.ts";
import { poolingFindings } from "./pooling-findings.ts";
import { RERANK_TEMPLATE_KEY } from "./rerank-prompt.ts";

export interface RankMarkers {
  readonly pooling: boolean;
  /** Absent: no classifier.output_labels key. */
  readonly labels?: readonly string[];
  /** The last tensor of the head: cls.output.weight, or cls.weight where that is all there is. */
  readonly head?: TensorInfo;
  readonly hasTemplate: boolean;
  /** Named a reranker. */
  readonly named: boolean;
}

/** Collect what marks a model as a reranker. */
export function rankMarkers(model: Model, facts: ModelFacts): RankMarkers {
  const labels = model.metadata.get(`${model.arch}.classifier.output_labels`);
  const find = (name: string) => model.tensors.find((tensor) => tensor.name === name);
  const head = find("cls.output.weight") ?? find("cls.weight");
  return {
    pooling: facts.rankPooling,
    ...(Array.isArray(labels) ? { labels: labels.map(String) } : {}),
    ...present({ head }),
    hasTemplate: isTemplate(model.metadata.get(RERANK_TEMPLATE_KEY)),
    named: /re-?rank/i.test(modelNames(model)),
  };
}

/** Whether it ranks by the token after its prompt: made to rank, and without a head. */
export function isCausalReranker(model: Model, facts: ModelFacts): boolean {
  const { pooling, head, hasTemplate, named } = rankMarkers(model, facts);
  return !pooling && head === undefined && (hasTemplate || named) && !givesHiddenStates(facts);
}

/** What is known of this model as a reranker. */
export function knownReranker(model: Model): RerankerRow | undefined {
  const tokenizer = model.metadata.get("tokenizer.ggml.model");
  return rerankerRow({
    arch: model.arch,
    tokenizer: typeof tokenizer === "string" ? tokenizer : "",
    names: modelNames(model),
  });
}

function modelNames({ name = "", path }: Model): string {
  return `${name} ${basename(path)}`;
}

function isTemplate(template: unknown): boolean {
  return typeof template === "string" && template.includes("{query}") && template.includes("{document}");
}

/** Check a reranker's markers, and quote what is known of its kind; nothing for other models. */
export function rankFindings(model: Model, facts: ModelFacts): Finding[] {
  const markers = rankMarkers(model, facts);
  const { pooling, labels, head, hasTemplate, named } = markers;
  const marked = pooling || head !== undefined || hasTemplate || labels !== undefined;
  if (!marked && !named) return [];
  const known = knownFindings(model);
  if (!RANK_HEAD_ARCHITECTURES.has(model.arch)) {
    return [...(pooling || head !== undefined ? [unsupported(model.arch, markers)] : []), ...known];
  }
  if (!pooling) {
    if (poolingFindings(model).length > 0) return known;
    return [marked ? poolingMissing(model, markers) : markersAbsent(model.arch), ...known];
  }
  return [...headFindings(model, markers), ...templateFindings(model, markers), ...known];
}

function headFindings(model: Model, { labels, head }: RankMarkers): Finding[] {
  const { arch } = model;
  if (head === undefined) {
    return [
      {
        code: "rank-head-missing",
        severity: "error",
        message: "pooling_type is 4 (rank), but the file has no cls tensor: reranking gives meaningless scores",
        remedy: PROMPTED_RANK_ARCHITECTURES.has(arch)
          ? "prism repair grafts it from the yes and no rows of the LM head; or convert again as a reranker"
          : "convert the model again as a reranker, with its classification head",
      },
    ];
  }
  const width = Number(model.metadata.get(`${arch}.embedding_length`));
  const [columns, rows = 1] = head.shape;
  const lonely = PROMPTED_RANK_ARCHITECTURES.has(arch) && rows < 2;
  if ((Number.isFinite(width) && columns !== width) || lonely) {
    return [
      {
        code: "rank-head-shape",
        severity: "error",
        message: lonely
          ? `${head.name} has 1 row, and llama.cpp takes a softmax over the rows: every score would be 1`
          : `${head.name} has rows of ${columns}, but ${arch}.embedding_length is ${width}${rows === width ? ": it is transposed" : ""}`,
        remedy: "convert the model again as a reranker",
      },
    ];
  }
  const isDense = head.name === "cls.weight";
  if (isDense) return [];
  // an empty list is as none: there is one output
  if ((labels?.length || 1) === rows) return labelFindings(model, head, labels ?? []);
  return [
    {
      code: "rank-labels-mismatch",
      severity: "error",
      message: `cls.output.weight has ${rows} rows, but ${arch}.classifier.output_labels names ${labels === undefined ? "none" : labels.length}`,
      remedy: "prism repair names them where it knows the order; or convert again as a reranker",
    },
  ];
}

function templateFindings({ arch }: Model, { hasTemplate }: RankMarkers): Finding[] {
  if (hasTemplate || !PROMPTED_RANK_ARCHITECTURES.has(arch)) return [];
  return [
    {
      code: "rank-template-missing",
      severity: "error",
      message: `the reranker has no ${RERANK_TEMPLATE_KEY} with {query} and {document}: scored without its prompt, documents get near-constant scores`,
      remedy: "prism repair adds the prompt of Qwen's rerankers; or convert again as a reranker",
    },
  ];
}

function poolingMissing({ arch }: Model, { head, labels, hasTemplate }: RankMarkers): Finding {
  const markers = [
    ...(head === undefined ? [] : [head.name]),
    ...(labels === undefined ? [] : [`${arch}.classifier.output_labels`]),
    ...(hasTemplate ? [RERANK_TEMPLATE_KEY] : []),
  ];
  return {
    code: "rank-pooling-missing",
    // llama.cpp's converter writes none for encoders, and their users know --pooling rank
    severity: PROMPTED_RANK_ARCHITECTURES.has(arch) ? "warning" : "info",
    message: `the file has ${markers.join(", ")}, but ${arch}.pooling_type is not 4 (rank), so llama.cpp reranks with it only when told to`,
    remedy: "prism repair sets it; or run it with --pooling rank",
  };
}

function markersAbsent(arch: string): Finding {
  if (!PROMPTED_RANK_ARCHITECTURES.has(arch)) {
    return {
      code: "rank-markers-absent",
      severity: "warning",
      message: `named a reranker, but the file has no classification head, no labels and no ${arch}.pooling_type: it can only embed`,
      remedy: "convert the model again as a reranker, with its classification head",
    };
  }
  return {
    code: "rank-markers-absent",
    severity: "warning",
    message: `named a reranker, but the file has no rank head and no ${arch}.pooling_type: with --pooling rank llama.cpp gives meaningless scores`,
    remedy: "prism repair grafts the head; as it is, score it by its prompt, as prism evaluate --rerank does",
  };
}

function unsupported(arch: string, { pooling, head }: RankMarkers): Finding {
  const markers = [...(pooling ? ["pooling_type 4 (rank)"] : []), ...(head === undefined ? [] : [head.name])];
  return {
    code: "rank-unsupported",
    severity: "error",
    message: `the file has ${markers.join(" and ")}, but llama.cpp creates a rank head only for ${[...RANK_HEAD_ARCHITECTURES].join(", ")}, not for ${arch}`,
    remedy: "prism repair drops the markers; the model then scores by its prompt, as prism evaluate --rerank does",
  };
}

function knownFindings(model: Model): Finding[] {
  const row = knownReranker(model);
  if (row === undefined) return [];
  const wrong = row.verdict === "wrong";
  return [
    {
      code: wrong ? "reranker-known-wrong" : "reranker-known",
      severity: wrong ? "warning" : "info",
      message: `${row.family}: ${row.fact} (${row.source})`,
      remedy: wrong
        ? "compare its order of documents with the original model before you rely on it"
        : "judge each quantized file by its ranking: prism evaluate --rerank",
    },
  ];
}
