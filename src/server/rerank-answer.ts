/** The answer of /v1/rerank, the best documents first, in the words of who asked. */
import { labelOf, type RankContent } from "../rerank/rank-content.ts";
import { logitOf } from "../rerank/rerank-head.ts";
import type { ScoredDocument } from "../rerank/rerank-scorer.ts";
import type { RerankBody } from "./rerank-protocol.ts";

export interface AnswerFacts {
  readonly id: string;
  readonly modelName: string;
  /** Infinity gives documents as texts where the others have objects with a "text", and calls the answer otherwise. */
  readonly infinity: boolean;
}

export function rerankAnswer(body: RerankBody, scored: readonly ScoredDocument[], facts: AnswerFacts): object {
  const ranked = scored
    .map((document, index) => ({ index, score: body.rawScores ? logitOf(document) : document.score }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, body.top);
  const document = (index: number, as: (text: string) => object) =>
    body.returnDocuments ? as(textOf(body.documents[index] as RankContent)) : {};
  if (body.dialect === "tei") return ranked.map((each) => ({ ...each, ...document(each.index, (text) => ({ text })) }));
  const results = (bare: boolean) =>
    ranked.map(({ index, score }) => ({
      index,
      relevance_score: score,
      ...document(index, (text) => ({ document: bare ? text : { text } })),
    }));
  const truncated = scored.flatMap((each, index) => (each.truncated ? [index] : []));
  const { prompt_tokens } = usageOf(scored);
  return {
    id: facts.id,
    object: facts.infinity ? "rerank" : "list",
    model: body.model ?? facts.modelName,
    usage: usageOf(scored),
    // Cohere's clients insist on it; a search is what Cohere counts for a request.
    meta: {
      api_version: { version: "2" },
      billed_units: { search_units: 1 },
      tokens: { input_tokens: prompt_tokens, output_tokens: 0 },
    },
    results: results(facts.infinity),
    ...(body.dialect === "voyage" ? { data: results(true) } : {}),
    ...(truncated.length === 0 ? {} : { truncated }),
  };
}

/** A picture is not sent back: clients know it by its index. */
function textOf(content: RankContent): string {
  return typeof content === "string" ? content : (content.text ?? labelOf(content));
}

export function usageOf(scored: readonly ScoredDocument[]): { prompt_tokens: number; total_tokens: number } {
  const tokens = scored.reduce((sum, document) => sum + (document.tokens ?? 0), 0);
  return { prompt_tokens: tokens, total_tokens: tokens };
}
