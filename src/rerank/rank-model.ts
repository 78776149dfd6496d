/** One reranker over a set: its header, its scores, and what they are worth beside the reference's. */

import { refuseProjector } from "../evaluate/describe-model.ts";
import type { RankedModel } from "../evaluate/evaluation.ts";
import type { RerankResult } from "../evaluate/rerank-result.ts";
import { bpw } from "../ggml/file-bytes.ts";
import { openLocalModel, openModel } from "../gguf/open.ts";
import { openServerScorer } from "./llama-server.ts";
import type { RerankSessionOptions } from "./rerank.ts";
import { judgeScores } from "./rerank-fidelity.ts";
import { takesInstruction } from "./rerank-prompt.ts";
import { openRerankScorer, type RerankScorer, type ScoredDocument } from "./rerank-scorer.ts";
import type { RerankSet } from "./rerank-set.ts";
import { describeReranker, type Reranker } from "./reranker.ts";

/** Score the documents of a set; what is remarkable about the model goes to `warnings`. */
export async function rankModel(
  path: string,
  set: RerankSet,
  options: RerankSessionOptions,
  warnings: Set<string>,
  reference?: RerankResult,
): Promise<{ ranked: RankedModel; headerHash: string }> {
  const start = performance.now();
  const { reranker, ...described } = await describe(path, options.server !== undefined);
  for (const warning of warningsOf(reranker, set)) warnings.add(warning);
  const scorer = await openScorer(reranker, options);
  try {
    const scored = await scoreSet(path, scorer, set, options);
    const scores = scored.map((row) =>
      row.map(({ score, logit }) => ({ score, ...(logit === undefined ? {} : { logit }) })),
    );
    const documents = scored.flat();
    const tokens = documents.reduce((sum, document) => sum + (document.tokens ?? Number.NaN), 0);
    const rerank: RerankResult = {
      head: reranker.head,
      scoredBy: scorer.scoredBy,
      scores,
      ...judgeScores(scores, set.queries, reranker.head, reference),
      truncated: documents.filter(({ truncated }) => truncated).length,
      ...(Number.isNaN(tokens) ? {} : { tokens }),
    };
    const { fileBytes, bpw, headerHash } = described;
    const elapsedMs = Math.round(performance.now() - start);
    return { ranked: { path, fileBytes, bpw, rerank, elapsedMs }, headerHash };
  } finally {
    await scorer.close();
  }
}

/** A server's model may lie elsewhere: its header is enough. */
async function describe(path: string, elsewhere: boolean) {
  const file = await (elsewhere ? openModel(path) : openLocalModel(path));
  try {
    const { model } = file;
    refuseProjector(model);
    return {
      reranker: describeReranker(model),
      fileBytes: model.shards.reduce((sum, shard) => sum + shard.fileBytes, 0),
      bpw: bpw(model.tensors),
      headerHash: model.headerHash,
    };
  } finally {
    await file.close();
  }
}

function openScorer(reranker: Reranker, options: RerankSessionOptions): Promise<RerankScorer> {
  const { server, signal } = options;
  if (server === undefined) return openRerankScorer({ ...options, reranker });
  return openServerScorer({ server, reranker, ...(signal === undefined ? {} : { signal }) });
}

async function scoreSet(
  path: string,
  scorer: RerankScorer,
  { queries }: RerankSet,
  { signal, onProgress }: RerankSessionOptions,
): Promise<ScoredDocument[][]> {
  const scored: ScoredDocument[][] = [];
  for (const { query, documents, instruct } of queries) {
    const stopped = () => signal?.aborted === true;
    scored.push(await scorer.score({ query, documents, stopped, ...(instruct === undefined ? {} : { instruct }) }));
    onProgress?.(path, scored.length, queries.length);
  }
  return scored;
}

function warningsOf({ head, template, path, warnings }: Reranker, { queries }: RerankSet): string[] {
  const instructed = queries.some(({ instruct }) => instruct !== undefined);
  const deaf = template === undefined ? head !== "yes-no-logits" : !takesInstruction(template);
  if (!instructed || !deaf) return [...warnings];
  return [...warnings, `${path}: its prompt has no place for an instruction; "instruct" of the set is left out`];
}
