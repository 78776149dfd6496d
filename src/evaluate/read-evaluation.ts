/** JSON text → Evaluation, of a text, by ranking alone, or by embeddings. */
import { readDocument } from "../documents/read-document.ts";
import { type EmbeddingEvaluation, EVALUATION, type Evaluation, type RerankEvaluation } from "./evaluation.ts";

/** Read an evaluation. `path` is for messages. Throws FormatError. */
export function readEvaluation(json: string, path: string): Evaluation | RerankEvaluation | EmbeddingEvaluation {
  return readDocument(json, path, EVALUATION);
}
