/**
 * Which kind of reranker a model is, from its header: what its outputs are, which of them means "relevant", and the
 * prompt it reads. A file whose scores could only be meaningless is refused here.
 * llama.cpp takes the softmax over the outputs of a rank head itself for qwen3 and qwen3vl, and gives raw logits for
 * every other architecture but jina-bert-v2: its only layer is taken for the dense one of other heads, which tanh follows
 * (build_pooling, src/llama-graph.cpp, llama.cpp v0.5.0).
 */
import type { PairTypes } from "../engine/engine.ts";
import { FormatError } from "../errors.ts";
import type { RerankHead } from "../evaluate/rerank-result.ts";
import { isEncoder } from "../ggml/model-facts.ts";
import { readFacts } from "../gguf/facts.ts";
import type { Model } from "../gguf/model.ts";
import type { FindingCode } from "../preflight/finding-codes.ts";
import { preflight } from "../preflight/preflight.ts";
import { hasRankHead } from "../preflight/rank-head.ts";
import { RERANK_TEMPLATE_KEY } from "../preflight/rerank-prompt.ts";
import { isRerankTemplate } from "./rerank-prompt.ts";
import { hasThinkToken, specialPattern } from "./special-tokens.ts";

export interface Reranker {
  readonly path: string;
  readonly head: RerankHead;
  /** Index of the output that means "relevant". */
  readonly relevant: number;
  /** Outputs of the head; of a causal reranker the two logits. */
  readonly outputs: number;
  /** The model's own prompt. */
  readonly template?: string | undefined;
  /** Matches its special tokens as they are written out; absent: it has none. */
  readonly special?: RegExp | undefined;
  /** Whether its vocabulary has a token that begins a thought; absent: nobody looked. */
  readonly thinks?: boolean | undefined;
  /** Where the types of both texts of a pair lie; absent: it has one. */
  readonly pairTypes?: PairTypes | undefined;
  /** Whether its tokens see those after them too, as an encoder's do; absent: nobody looked. */
  readonly bidirectional?: boolean | undefined;
  /** Tokens in its vocabulary, as the header has them. */
  readonly vocabSize: number;
  readonly warnings: readonly string[];
}

const SOFTMAX_IN_GRAPH: ReadonlySet<string> = new Set(["qwen3", "qwen3vl"]);

const TANH_IN_GRAPH = "jina-bert-v2";

/** How classifiers name the output that means "relevant". */
const RELEVANT_LABEL = /^(yes|relevant|true|1|label_1)$/i;

/** Findings of scores and prompts whose codes are not of rerankers alone. */
const OF_PROMPTS: ReadonlySet<string> = new Set<FindingCode>(["pooling-type", "special-token-normal"]);

/** Whether the header says that the model was made to rank: a rank head, a rerank prompt, or its name. */
export function isReranker(model: Model): boolean {
  return hasRankHead(model) || ownTemplate(model) !== undefined || namesReranking(model);
}

/** Describe a reranker. Throws FormatError for a file that can't rank. */
export function describeReranker(model: Model): Reranker {
  const facts = readFacts(model);
  // a causal reranker needs no marks to be scored here
  const findings = preflight(model, facts).filter(
    ({ code }) => (code.startsWith("rank-") && code !== "rank-markers-absent") || OF_PROMPTS.has(code),
  );
  const broken = findings.find(({ severity }) => severity === "error");
  if (broken !== undefined) throw new FormatError(model.path, `${broken.message}; ${broken.remedy}`);
  const template = ownTemplate(model);
  const described = {
    path: model.path,
    vocabSize: facts.vocabSize,
    template,
    special: specialPattern(model),
    thinks: hasThinkToken(model),
    pairTypes: template === undefined ? pairTypes(model) : undefined,
    bidirectional: model.metadata.get(`${model.arch}.attention.causal`) === false,
    warnings: findings.map(({ message, remedy }) => `${message}; ${remedy}`),
  };
  if (hasRankHead(model)) return { ...described, ...describeHead(model) };
  const warnings = isReranker(model)
    ? described.warnings
    : [
        ...described.warnings,
        `nothing in the file says that it is a reranker; it is judged by its "yes" and "no" as a causal one`,
      ];
  return { ...described, warnings, head: "yes-no-logits", relevant: 0, outputs: 2 };
}

function describeHead(model: Model): Pick<Reranker, "head" | "relevant" | "outputs"> {
  const labels = classLabels(model);
  const outputs = Math.max(1, labels.length);
  const inGraph = SOFTMAX_IN_GRAPH.has(model.arch);
  if (outputs === 1) {
    if (!inGraph) return { head: model.arch === TANH_IN_GRAPH ? "sigmoid-of-tanh" : "sigmoid", relevant: 0, outputs };
    throw new FormatError(
      model.path,
      `its rank head has one output, and llama.cpp takes a softmax over it, so that every document scores 1; convert the model again as a reranker, with a row for "yes" and one for "no"`,
    );
  }
  const relevant = labels.findIndex((label) => RELEVANT_LABEL.test(label));
  if (relevant < 0 || outputs > 2 || model.arch === TANH_IN_GRAPH) {
    throw new FormatError(
      model.path,
      `its rank head has ${outputs} outputs (${labels.join(", ")}), expected one, or two of which one is named "yes"; this is another kind of classifier`,
    );
  }
  return { head: inGraph ? "softmax-in-graph" : "softmax", relevant, outputs };
}

function classLabels(model: Model): string[] {
  const labels = model.metadata.get(`${model.arch}.classifier.output_labels`);
  return Array.isArray(labels) ? labels.map(String) : [];
}

/** BERT's token types: what llama.cpp v0.5.0 adds to a token is the first, whatever text it is of (src/models/bert.cpp). */
function pairTypes({ arch, tensors, shards }: Model): PairTypes | undefined {
  const stored = (name: string) => {
    const found = tensors.find((tensor) => tensor.name === name);
    if (found === undefined) return undefined;
    const { shape, type, offset, shard } = found;
    return { from: shards[shard]?.path ?? "", offset, type, columns: shape[0] ?? 0, rows: shape[1] ?? 1 };
  };
  const [embedding, types] = [stored("token_embd.weight"), stored("token_types.weight")];
  return isEncoder(arch) && embedding !== undefined && types !== undefined && types.rows > 1
    ? { embedding, types }
    : undefined;
}

function ownTemplate(model: Model): string | undefined {
  const template = model.metadata.get(RERANK_TEMPLATE_KEY);
  return typeof template === "string" && isRerankTemplate(template) ? template : undefined;
}

/** Keys in which converters keep what a model is called and meant for. */
const NAMING_KEYS = /^general\.(name|basename|finetune|tags|base_model\.\d+\.name)$/;

function namesReranking(model: Model): boolean {
  return [...model.metadata].some(
    ([key, value]) => NAMING_KEYS.test(key) && /re-?rank|text-ranking/i.test(String(value)),
  );
}
