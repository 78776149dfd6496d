/**
 * The request and the answer of /v1/rerank, in the shape that Cohere, Jina and llama-server share; Voyage's `top_k` is
 * answered with Voyage's `data` besides.
 */
import { UsageError } from "../../errors.ts";
import type { ScoredDocument } from "../rerank-scorer.ts";

export interface RerankBody {
  readonly model?: string;
  readonly query: string;
  readonly documents: readonly string[];
  readonly instruct?: string | undefined;
  /** Results to return; all by default. */
  readonly top: number;
  readonly returnDocuments: boolean;
  /** Asked in Voyage's words. */
  readonly voyage: boolean;
}

/** Check a request. Throws UsageError naming the field. */
export function parseRerankBody(value: unknown, maxDocuments: number): RerankBody {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UsageError(`expected a JSON object like {"query": "…", "documents": ["…", "…"]}`);
  }
  const { query, documents, instruct, model, top_n, top_k, return_documents } = value as Record<string, unknown>;
  if (typeof query !== "string" || query.trim() === "")
    throw new UsageError(`"query" must be a text that is not empty`);
  if (!Array.isArray(documents) || documents.length === 0) {
    throw new UsageError(`"documents" must be an array of texts that is not empty`);
  }
  if (documents.length > maxDocuments) {
    throw new UsageError(`"documents" has ${documents.length} entries, at most ${maxDocuments} are taken`);
  }
  if (instruct !== undefined && typeof instruct !== "string") throw new UsageError(`"instruct" must be a text`);
  if (return_documents !== undefined && return_documents !== null && typeof return_documents !== "boolean") {
    throw new UsageError(`"return_documents" must be true or false`);
  }
  return {
    query,
    documents: documents.map(documentText),
    top: parseTop(top_n ?? top_k ?? documents.length, top_n === undefined ? "top_k" : "top_n"),
    returnDocuments: return_documents === true,
    voyage: top_n === undefined && top_k !== undefined,
    ...(typeof model === "string" ? { model } : {}),
    instruct,
  };
}

function documentText(document: unknown, index: number): string {
  const text =
    typeof document === "object" && document !== null ? (document as Record<string, unknown>).text : document;
  if (typeof text === "string") return text;
  throw new UsageError(`document ${index} must be a text, or an object with a "text"; images can't be ranked here`);
}

function parseTop(value: unknown, name: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1) return value;
  throw new UsageError(`"${name}" must be a whole number from 1 on`);
}

/** The answer: the best documents first. */
export function rerankAnswer(body: RerankBody, scored: readonly ScoredDocument[], modelName: string, id: string) {
  const tokens = scored.reduce((sum, document) => sum + (document.tokens ?? 0), 0);
  const truncated = scored.flatMap((document, index) => (document.truncated ? [index] : []));
  const best = scored
    .map(({ score }, index) => ({ index, relevance_score: score }))
    .sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index)
    .slice(0, body.top);
  const text = (index: number) => body.documents[index] as string;
  return {
    id,
    object: "list",
    model: body.model ?? modelName,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
    results: best.map((result) =>
      body.returnDocuments ? { ...result, document: { text: text(result.index) } } : result,
    ),
    ...(body.voyage
      ? { data: best.map((result) => (body.returnDocuments ? { ...result, document: text(result.index) } : result)) }
      : {}),
    ...(truncated.length === 0 ? {} : { truncated }),
  };
}
