/**
 * What is known of rerankers by architecture: which score right in llama.cpp v0.5.0, which don't, and what quantization
 * does to them. Each row says where it is from; a row without a measurement says so. The first row that fits is quoted.
 */

export interface RerankerFacts {
  /** general.architecture. */
  readonly arch: string;
  /** tokenizer.ggml.model: bert is WordPiece, t5 a unigram model, as XLM-RoBERTa has it. */
  readonly tokenizer: string;
  /** general.name and the name of the file. */
  readonly names: string;
}

export interface RerankerRow {
  readonly family: string;
  /** `wrong`: the ranking can't be trusted; `lossy`: right in f16, worse than others when quantized. */
  readonly verdict: "right" | "wrong" | "lossy" | "unmeasured";
  readonly fact: string;
  readonly source: string;
  /** A head of the yes and no rows of the LM head is not what this model scores with. */
  readonly ownHead?: boolean;
  readonly fits: (facts: RerankerFacts) => boolean;
}

const COMPARISON = "https://github.com/miyako/4d-example-reranker";
const GRAPH = "build_pooling, src/llama-graph.cpp, llama.cpp v0.5.0";

/** Architectures for which llama.cpp creates a classification head (cls tensors in src/models/*.cpp). */
export const RANK_HEAD_ARCHITECTURES: ReadonlySet<string> = new Set([
  "bert",
  "jina-bert-v2",
  "modern-bert",
  "neo-bert",
  "qwen3",
  "qwen3vl",
]);

/** Of these, the ones that are fed a chat prompt and softmaxed over the labels "yes" and "no". */
export const PROMPTED_RANK_ARCHITECTURES: ReadonlySet<string> = new Set(["qwen3", "qwen3vl"]);

export const RERANKER_ROWS: readonly RerankerRow[] = [
  {
    family: "jina-reranker-v3 (Qwen3)",
    verdict: "wrong",
    fact: "scores in llama.cpp are off (0.75 for the answer, 0.24 off-topic), while its maker's own service ranks well",
    source: COMPARISON,
    ownHead: true,
    fits: ({ names }) => /jina-reranker-v3/i.test(names),
  },
  {
    family: "zerank (Qwen3)",
    verdict: "wrong",
    fact: "scores in llama.cpp are off (3e-17 for the answer in Q8_0, 0.97 in ONNX int8)",
    source: COMPARISON,
    ownHead: true,
    fits: ({ names }) => /zerank/i.test(names),
  },
  {
    family: "ctxl-rerank-v2 (Qwen3)",
    verdict: "wrong",
    fact: "scores in llama.cpp are near 1e-30, from the answer (9e-30) to off-topic (4e-30)",
    source: COMPARISON,
    ownHead: true,
    fits: ({ names }) => /ctxl-rerank/i.test(names),
  },
  {
    family: "Qwen3, Qwen3-VL",
    verdict: "right",
    fact: "with all four rank markers llama.cpp gives p(yes) of a softmax over yes and no; Q8_0 keeps 0.998 > 0.18 > 0.0001 (0.6B), Q4_K_M moves the middle of the 4B from 0.78 to 0.74",
    source: `${GRAPH}; ${COMPARISON}`,
    fits: ({ arch }) => PROMPTED_RANK_ARCHITECTURES.has(arch),
  },
  {
    family: "XLM-RoBERTa",
    verdict: "right",
    fact: "scores in Q8_0 agree with other runtimes (bge-reranker-v2-m3: 0.99976, ONNX int8 0.99980); bce-reranker-base is mushed (0.67, 0.43, 0.38), but so it is elsewhere",
    source: COMPARISON,
    fits: ({ arch, tokenizer }) => arch === "bert" && tokenizer === "t5",
  },
  {
    family: "BERT (WordPiece)",
    verdict: "wrong",
    fact: "llama.cpp scores it wrong, even in f16 (ms-marco-MiniLM: 0.498, 0.488, 0.486 where others give 0.99998, 0.00002, 0.00002): the converter drops the pooler before the classifier, and every token counts as sentence A, which moves scores by .01 to .02 on average and .06 at most on real weights (prism evaluate --pairs published counts the sentences)",
    source: `${COMPARISON}; conversion/bert.py and src/models/bert.cpp, llama.cpp v0.5.0`,
    fits: ({ arch, tokenizer }) => arch === "bert" && tokenizer === "bert",
  },
  {
    family: "Jina BERT v2",
    verdict: "wrong",
    fact: "scores are mushed in llama.cpp (jina-reranker-v1-turbo-en in Q8_0: 0.477, 0.476, 0.477), and in int8 elsewhere too",
    source: COMPARISON,
    fits: ({ arch }) => arch === "jina-bert-v2",
  },
  {
    family: "ModernBERT",
    verdict: "lossy",
    fact: "loses much in int8 (granite-embedding-reranker-english-r2: 0.92 and 0.08 in f16, 0.80 and 0.67 in ONNX int8); llama.cpp was not measured",
    source: COMPARISON,
    fits: ({ arch }) => arch === "modern-bert",
  },
  {
    family: "DeBERTa-v2",
    verdict: "lossy",
    fact: "llama.cpp v0.5.0 has no such architecture; in int8 elsewhere the scores collapse (mxbai-rerank-base: 0.95 becomes 0.23), and the large model is wrong in f16 already",
    source: `${COMPARISON}; src/llama-arch.cpp, llama.cpp v0.5.0`,
    fits: ({ arch, names }) => /deberta/i.test(arch) || /mxbai-rerank/i.test(names),
  },
  {
    family: "Qwen3.5",
    verdict: "right",
    fact: "causal only: llama.cpp creates no classification head for it, so the score is p(yes) against p(no) after the prompt; 0.83 for the answer and 0.14 off-topic were published",
    source:
      "https://huggingface.co/grimmjoww578/Prism-Qwen3.5-Reranker-0.8B-GGUF; src/models/qwen35.cpp, llama.cpp v0.5.0",
    fits: ({ arch }) => arch === "qwen35" || arch === "qwen35moe",
  },
];

/** What is known of this reranker; undefined where nothing is. */
export function rerankerRow(facts: RerankerFacts): RerankerRow | undefined {
  return RERANKER_ROWS.find(({ fits }) => fits(facts));
}
