/**
 * Findings about rerankers with a rank head. A correct conversion has all of: `<arch>.pooling_type` = 4, one label per row
 * of the head, a `cls` tensor and, for chat-style rerankers, `tokenizer.chat_template.rerank`. llama.cpp loads a file
 * without them and gives near-constant scores (`build_pooling`, src/llama-graph.cpp, llama.cpp v0.5.0).
 */
import type { ModelFacts } from "../ggml/model-facts.ts";
import type { Model } from "./model.ts";
import type { Finding } from "./preflight.ts";

const TEMPLATE_KEY = "tokenizer.chat_template.rerank";

/** Architectures whose rank head is fed a chat prompt and softmaxed over its labels. */
const PROMPTED = new Set(["qwen3", "qwen3vl"]);

/** Check that a rank model has all its markers, and that a model with the markers pools by rank. */
export function rankFindings(model: Model, facts: ModelFacts): Finding[] {
  const head = model.tensors.find(({ name }) => name === "cls.output.weight");
  const labels = model.metadata.get(`${model.arch}.classifier.output_labels`);
  const hasTemplate = model.metadata.has(TEMPLATE_KEY);
  if (!facts.rankPooling) {
    const markers = [
      ...(head ? ["cls.output.weight"] : []),
      ...(labels === undefined ? [] : [`${model.arch}.classifier.output_labels`]),
      ...(hasTemplate ? [TEMPLATE_KEY] : []),
    ];
    return markers.length === 0 ? [] : [poolingMissing(model.arch, markers)];
  }
  const findings: Finding[] = [];
  if (!model.tensors.some(({ name }) => name.startsWith("cls."))) findings.push(headMissing());
  const labelCount = Array.isArray(labels) ? labels.length : 1;
  const rows = head?.shape[1] ?? 1;
  if (head && labelCount !== rows) {
    findings.push({
      code: "rank-labels-mismatch",
      severity: "error",
      message: `cls.output.weight has ${rows} rows, but ${model.arch}.classifier.output_labels names ${Array.isArray(labels) ? labelCount : "none"}`,
      remedy: `convert the model again as a reranker, so that each row has its label`,
    });
  }
  if (PROMPTED.has(model.arch) && !hasTemplate) {
    findings.push({
      code: "rank-template-missing",
      severity: "error",
      message: `the reranker has no ${TEMPLATE_KEY}: scored without its prompt, documents get near-constant scores`,
      remedy: "convert the model again as a reranker; the template must hold {query} and {document}",
    });
  }
  return findings;
}

function poolingMissing(arch: string, markers: readonly string[]): Finding {
  return {
    code: "rank-pooling-missing",
    severity: "warning",
    message: `the file has ${markers.join(", ")}, but ${arch}.pooling_type is not 4 (rank), so llama.cpp does not rerank with it`,
    remedy: `set ${arch}.pooling_type to 4 by converting again as a reranker, or run it with --pooling rank`,
  };
}

function headMissing(): Finding {
  return {
    code: "rank-head-missing",
    severity: "error",
    message: "pooling_type is 4 (rank), but the file has no cls tensor: reranking gives meaningless scores",
    remedy: "convert the model again as a reranker, with its classification head",
  };
}
