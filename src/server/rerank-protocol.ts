/**
 * The request of /v1/rerank, in the shapes of Cohere, Jina and llama-server, of Voyage (`top_k`), of vLLM and of TEI
 * (`texts`). What it is not known to mean is left alone: clients send more than a reranker can use.
 */
import { UsageError } from "../errors.ts";
import type { RankContent } from "../rerank/rank-content.ts";
import type { Lengths } from "../rerank/rerank-scorer.ts";
import { parseContent } from "./content-field.ts";
import { countField, type Fields, flagField, given, objectOf, textField } from "./fields.ts";
import { parseLengths } from "./lengths.ts";

export interface RerankBody {
  readonly model?: string | undefined;
  readonly query: RankContent;
  readonly documents: readonly RankContent[];
  readonly instruct?: string | undefined;
  readonly lengths: Lengths;
  /** Results to return; all by default. */
  readonly top: number;
  readonly returnDocuments: boolean;
  /** Logits instead of scores from 0 to 1. */
  readonly rawScores: boolean;
  /** In whose words the answer is expected. */
  readonly dialect: "cohere" | "voyage" | "tei";
}

/** Check a request. Throws UsageError naming the field. */
export function parseRerankBody(value: unknown, maxDocuments: number): RerankBody {
  const fields = objectOf(value, `{"query": "…", "documents": ["…", "…"]}`);
  const query = parseQuery(fields);
  checkRankFields(fields);
  const listed = given(fields, "documents", "texts");
  const documents = parseDocuments(listed?.value, listed?.name ?? "documents", maxDocuments);
  return {
    query,
    documents,
    // Qwen's, vLLM's and Jina's name for it
    instruct: textField(fields, "instruct", "instruction"),
    lengths: parseLengths(fields),
    // vLLM's 0: all
    top: countField(fields, 0, "top_n", "top_k") ?? documents.length,
    returnDocuments: flagField(fields, "return_documents", "return_text") ?? false,
    rawScores: flagField(fields, "raw_scores") ?? false,
    dialect: listed?.name === "texts" ? "tei" : given(fields, "top_n", "top_k")?.name === "top_k" ? "voyage" : "cohere",
    model: typeof fields.model === "string" ? fields.model : undefined,
  };
}

function parseQuery({ query }: Fields): RankContent {
  if (typeof query === "object" && query !== null) return parseContent(query, "the query");
  if (typeof query === "string" && query.trim() !== "") return query;
  throw new UsageError(`"query" must be a text that is not empty`);
}

/** Throws UsageError where Cohere's `rank_fields` asks for more of a document than is read. */
function checkRankFields({ rank_fields }: Fields): void {
  if (rank_fields === undefined || rank_fields === null) return;
  if (Array.isArray(rank_fields) && rank_fields.every((name) => name === "text")) return;
  throw new UsageError(`"rank_fields" can only name "text" here; put all that is to be ranked into it`);
}

function parseDocuments(value: unknown, name: string, maxDocuments: number): RankContent[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw new UsageError(`"${name}" must be an array of texts that is not empty`);
  }
  checkCount(value.length, name, maxDocuments);
  return value.map((document, index) => parseContent(document, `document ${index}`));
}

/** Throws UsageError for more documents than the server takes. */
export function checkCount(count: number, name: string, maxDocuments: number): void {
  if (count <= maxDocuments) return;
  throw new UsageError(`"${name}" has ${count} entries, at most ${maxDocuments} are taken`);
}
