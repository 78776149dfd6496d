/** vLLM's /score: how well texts fit each other, pair by pair, in the order of the request. */
import { UsageError } from "../errors.ts";
import { logitOf } from "../rerank/rerank-head.ts";
import type { Lengths, ScoredDocument } from "../rerank/rerank-scorer.ts";
import { type Fields, flagField, objectOf, textField } from "./fields.ts";
import { parseLengths } from "./lengths.ts";
import { type AnswerFacts, usageOf } from "./rerank-answer.ts";
import { checkCount } from "./rerank-protocol.ts";

export interface ScoreBody {
  readonly model?: string | undefined;
  /** A query with its documents, each scored by itself: one with all, or one with one each. */
  readonly groups: readonly { readonly query: string; readonly documents: readonly string[] }[];
  readonly instruct?: string | undefined;
  readonly lengths: Lengths;
  readonly rawScores: boolean;
}

/** Check a request. Throws UsageError naming the field. */
export function parseScoreBody(value: unknown, maxDocuments: number): ScoreBody {
  const fields = objectOf(value, `{"text_1": "…", "text_2": ["…", "…"]}`);
  const queries = parseTexts(fields, "text_1", maxDocuments);
  const documents = parseTexts(fields, "text_2", maxDocuments);
  const [query = ""] = queries;
  if (queries.length > 1 && queries.length !== documents.length) {
    throw new UsageError(
      `"text_1" has ${queries.length} texts and "text_2" ${documents.length}; give one text_1, or as many as there are text_2`,
    );
  }
  return {
    groups:
      queries.length === 1
        ? [{ query, documents }]
        : documents.map((document, index) => ({ query: queries[index] as string, documents: [document] })),
    instruct: textField(fields, "instruct", "instruction"),
    lengths: parseLengths(fields),
    rawScores: flagField(fields, "raw_scores") ?? false,
    model: typeof fields.model === "string" ? fields.model : undefined,
  };
}

function parseTexts(fields: Fields, name: string, most: number): string[] {
  const texts = Array.isArray(fields[name]) ? fields[name] : [fields[name]];
  if (texts.length === 0 || !texts.every((text) => typeof text === "string")) {
    throw new UsageError(`"${name}" must be a text, or an array of texts that is not empty`);
  }
  checkCount(texts.length, name, most);
  return texts;
}

export function scoreAnswer(
  body: ScoreBody,
  scored: readonly ScoredDocument[],
  { id, modelName }: Pick<AnswerFacts, "id" | "modelName">,
): object {
  return {
    id,
    object: "list",
    created: Math.floor(Date.now() / 1000),
    model: body.model ?? modelName,
    data: scored.map((document, index) => ({
      index,
      object: "score",
      score: body.rawScores ? logitOf(document) : document.score,
    })),
    usage: usageOf(scored),
  };
}
