/** The endpoints of a reranker: /v1/rerank and its like, and vLLM's /score. */
import { randomUUID } from "node:crypto";
import { BodyError } from "../request-body.ts";
import type { Asked, RankContent } from "../rerank/rank-content.ts";
import type { RerankScorer, ScoredDocument } from "../rerank/rerank-scorer.ts";
import type { Endpoint } from "./endpoint.ts";
import { rerankAnswer } from "./rerank-answer.ts";
import { parseRerankBody } from "./rerank-protocol.ts";
import { parseScoreBody, scoreAnswer } from "./score-protocol.ts";

export interface RankLimits {
  readonly maxDocuments: number;
  /** UTF-16 units that a request may have, its query counted for every document. */
  readonly mostUnits: number;
}

/** In TEI's words. */
export const RANK_MODEL_TYPE = { reranker: { id2label: { "0": "LABEL_0" }, label2id: { LABEL_0: 0 } } };

const RERANK_PATHS = ["/v1/rerank", "/rerank", "/v2/rerank", "/v1/reranking", "/reranking"];
/** Infinity's requests look like Cohere's, but its clients want another answer: they are told another address. */
const INFINITY_PATHS = ["/infinity/rerank", "/infinity/v1/rerank"];

export function rankEndpoints(scorer: RerankScorer, modelName: string, limits: RankLimits): Endpoint[] {
  const rerank = (paths: readonly string[], infinity: boolean): Endpoint => ({
    paths,
    prepare(value) {
      const body = parseRerankBody(value, limits.maxDocuments);
      const { query, documents, instruct, lengths } = body;
      checkUnits([body], body, limits);
      return async ({ gone, pause }) => {
        const scored = await scorer.score({ query, documents, instruct, ...lengths, signal: gone, pause });
        return rerankAnswer(body, scored, { id: randomUUID(), modelName, infinity });
      };
    },
  });
  return [
    rerank(RERANK_PATHS, false),
    rerank(INFINITY_PATHS, true),
    {
      paths: ["/v1/score", "/score"],
      prepare(value) {
        const body = parseScoreBody(value, limits.maxDocuments);
        const { groups, instruct, lengths } = body;
        checkUnits(groups, body, limits);
        return async ({ gone, pause }) => {
          const scored: ScoredDocument[] = [];
          for (const group of groups) {
            scored.push(...(await scorer.score({ ...group, instruct, ...lengths, signal: gone, pause })));
            await pause();
          }
          return scoreAnswer(body, scored, { id: randomUUID(), modelName });
        };
      },
    },
  ];
}

/** Throws BodyError where the query, which is read with every document, makes a request too large. */
function checkUnits(
  groups: readonly Asked[],
  { instruct = "" }: { readonly instruct?: string | undefined },
  { mostUnits }: RankLimits,
): void {
  let units = 0;
  let count = 0;
  for (const { query, documents } of groups) {
    for (const document of documents) units += unitsOf(query) + instruct.length + unitsOf(document);
    count += documents.length;
  }
  if (units <= mostUnits) return;
  throw new BodyError(
    413,
    `the query is read with each of ${count} documents, ${units} characters in all, at most ${mostUnits} are taken; send fewer documents at a time, a shorter query, or raise --max-body`,
  );
}

function unitsOf(content: RankContent): number {
  return typeof content === "string" ? content.length : content.picture.base64.length + (content.text?.length ?? 0);
}
