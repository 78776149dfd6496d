/**
 * Repairs of rerankers: the markers of a rank conversion, and a head grafted from the yes and no rows of the LM head, as
 * `Qwen3Model._get_cls_out_tensor` (conversion/qwen.py, llama.cpp v0.5.0) makes it: yes first, which is the score.
 */
import { PROMPTED_RANK_ARCHITECTURES, RANK_HEAD_ARCHITECTURES } from "../ggml/reranker-architectures.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { TensorInfo } from "../gguf/model.ts";
import { isSwapped } from "../preflight/label-findings.ts";
import { wrongAdditions } from "../preflight/prompt-findings.ts";
import { isCausalReranker, knownReranker, type RankMarkers, rankMarkers } from "../preflight/rank-findings.ts";
import { RERANK_LABELS, RERANK_TEMPLATE, RERANK_TEMPLATE_KEY } from "../preflight/rerank-prompt.ts";
import { dropKey, type RepairDraft, setString, setStrings, setU32 } from "./repair-draft.ts";

/** LLAMA_POOLING_TYPE_RANK. */
const RANK_POOLING = 4;
const HEAD = "cls.output.weight";
/** What a row of the LM head becomes in the head: both hold it exactly. */
const HEAD_TYPES: Partial<Record<TensorType, TensorType>> = { F16: "F16", F32: "F32", BF16: "F32" };

/** Complete the markers of a reranker, or drop those of an architecture that can't have them. */
export function repairRank(draft: RepairDraft): void {
  const { model, facts } = draft;
  if (isCausalReranker(model, facts)) repairAdditions(draft);
  const markers = rankMarkers(model, facts);
  const marked = markers.pooling || markers.head !== undefined || markers.hasTemplate || markers.labels !== undefined;
  if (!marked && !markers.named) return;
  if (!RANK_HEAD_ARCHITECTURES.has(model.arch)) {
    dropMarkers(draft, markers);
  } else if (PROMPTED_RANK_ARCHITECTURES.has(model.arch)) {
    completePrompted(draft, markers, marked);
  } else {
    completeEncoder(draft, markers, marked);
  }
}

function dropMarkers(draft: RepairDraft, { pooling, head }: RankMarkers): void {
  const { arch } = draft.model;
  const reason = `no rank head is grafted: llama.cpp creates one only for ${[...RANK_HEAD_ARCHITECTURES].join(", ")}, not for ${arch}; this model scores by its prompt`;
  draft.refusals.push({ reason, blocking: false });
  if (!pooling && head === undefined) return;
  const dropped = [`${arch}.pooling_type`, `${arch}.classifier.output_labels`].filter((key) => dropKey(draft, key));
  const heads = draft.tensors.filter(({ name }) => /^cls\./.test(name)).map(({ name }) => name);
  draft.tensors = draft.tensors.filter(({ name }) => !heads.includes(name));
  draft.changes.push(`dropped ${[...dropped, ...heads].join(", ")}: ${arch} has no rank head in llama.cpp`);
}

function completePrompted(
  draft: RepairDraft,
  { pooling, labels, head, hasTemplate }: RankMarkers,
  marked: boolean,
): void {
  const { arch } = draft.model;
  const known = knownReranker(draft.model);
  if (known?.ownHead) {
    draft.refusals.push({
      reason: `no rank head is grafted: ${known.family} is known to score wrong in llama.cpp, which a yes/no head would not mend (${known.source})`,
      blocking: marked,
    });
    return;
  }
  const rows = head?.shape[1] ?? 1;
  if (head !== undefined && rows !== RERANK_LABELS.length) {
    const reason = `${head.name} has ${rows} row${rows === 1 ? "" : "s"}, expected ${RERANK_LABELS.length} (yes, no); convert the model again as a reranker`;
    draft.refusals.push({ reason, blocking: true });
    return;
  }
  if (head === undefined && !graftHead(draft)) return;
  if (head !== undefined && isSwapped(labels)) swapRows(draft, head);
  if (labels?.length !== RERANK_LABELS.length) {
    setStrings(draft, `${arch}.classifier.output_labels`, RERANK_LABELS);
    draft.changes.push(`${arch}.classifier.output_labels = ${RERANK_LABELS.join(", ")}`);
  }
  if (!hasTemplate) {
    setString(draft, RERANK_TEMPLATE_KEY, RERANK_TEMPLATE);
    draft.changes.push(`${RERANK_TEMPLATE_KEY} = the prompt of Qwen's rerankers`);
  }
  if (!pooling) setPooling(draft);
}

/** Rows and labels in the order in which llama-server reads them. */
function swapRows(draft: RepairDraft, head: TensorInfo): void {
  const key = `${draft.model.arch}.classifier.output_labels`;
  if (draft.tensors.some(({ name }) => name === "cls.output.bias")) {
    draft.refusals.push({ reason: "a head with a bias and swapped labels; convert the model again", blocking: false });
    return;
  }
  draft.tensors = draft.tensors.map((tensor) => (tensor.name === head.name ? { ...tensor, rows: [1, 0] } : tensor));
  setStrings(draft, key, RERANK_LABELS);
  draft.changes.push(`the rows of ${head.name} and ${key} in the order ${RERANK_LABELS.join(", ")}`);
}

function repairAdditions(draft: RepairDraft): void {
  for (const key of wrongAdditions(draft.model)) {
    draft.keys.set(key, { kind: "set", keyValue: { key, type: "bool", value: false } });
    draft.changes.push(`${key} = false`);
  }
}

/** False where it can't be made, with the reason among the refusals. */
function graftHead(draft: RepairDraft): boolean {
  const { model } = draft;
  const refuse = (reason: string) => {
    draft.refusals.push({ reason: `no rank head is grafted: ${reason}`, blocking: true });
    return false;
  };
  const source =
    model.tensors.find(({ name }) => name === "output.weight") ??
    model.tensors.find(({ name }) => name === "token_embd.weight");
  if (source === undefined) return refuse("the file has neither output.weight nor token_embd.weight");
  const type = HEAD_TYPES[source.type];
  if (type === undefined) return refuse(`${source.name} is ${source.type}; start from the f16, bf16 or f32 file`);
  const tokens = model.metadata.get("tokenizer.ggml.tokens");
  const ids = RERANK_LABELS.map((label) => (Array.isArray(tokens) ? tokens.indexOf(label) : -1));
  const missing = RERANK_LABELS.filter(
    (_, index) => (ids[index] ?? -1) < 0 || (ids[index] ?? 0) >= (source.shape[1] ?? 0),
  );
  if (missing.length > 0)
    return refuse(`the tokenizer has no token ${missing.map((label) => `"${label}"`).join(" and no ")}`);
  const shape = [source.shape[0] ?? 1, RERANK_LABELS.length];
  draft.tensors.push({ name: HEAD, shape, type, from: source, rows: ids });
  draft.changes.push(
    `${HEAD} (${shape.join(" x ")}, ${type}) from the rows ${ids.join(" (yes) and ")} (no) of ${source.name}`,
  );
  return true;
}

function completeEncoder(draft: RepairDraft, { pooling, labels, head }: RankMarkers, marked: boolean): void {
  const { arch } = draft.model;
  if (head === undefined) {
    const reason =
      "the file has no classification head (cls tensors), and an encoder's can't be made up; convert the model again as a reranker";
    draft.refusals.push({ reason, blocking: marked });
    return;
  }
  const rows = head.shape[1] ?? 1;
  if (head.name === HEAD && (labels?.length ?? 1) !== rows) {
    const names = Array.from({ length: rows }, (_, row) => `LABEL_${row}`);
    setStrings(draft, `${arch}.classifier.output_labels`, names);
    draft.changes.push(`${arch}.classifier.output_labels = ${names.join(", ")}`);
  }
  if (!pooling) setPooling(draft);
}

function setPooling(draft: RepairDraft): void {
  setU32(draft, `${draft.model.arch}.pooling_type`, RANK_POOLING);
  draft.changes.push(`${draft.model.arch}.pooling_type = ${RANK_POOLING} (rank)`);
}
