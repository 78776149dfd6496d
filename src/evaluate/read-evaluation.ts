/** JSON text → Evaluation, of a text or by ranking alone. */
import { readDocument } from "../documents/read-document.ts";
import { EVALUATION, type Evaluation, type RerankEvaluation } from "./evaluation.ts";

/** Read an evaluation. `path` is for messages. Throws FormatError. */
export function readEvaluation(json: string, path: string): Evaluation | RerankEvaluation {
  return readDocument(json, path, EVALUATION);
}
