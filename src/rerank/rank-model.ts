/** One reranker over a set: its header, its scores, and what they are worth beside the reference's. */
import { basename } from "node:path";
import type { Bench } from "../bench.ts";
import type { RankedModel } from "../evaluate/evaluation.ts";
import type { RerankResult } from "../evaluate/rerank-result.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { refuseProjector } from "../intake/source-checks.ts";
import { present } from "../present.ts";
import { openServerScorer } from "./llama-server.ts";
import type { RerankRequestOptions } from "./rerank.ts";
import { judgeScores } from "./rerank-fidelity.ts";
import { takesInstruction } from "./rerank-prompt.ts";
import { openRerankScorer, type RerankScorer, type ScoredDocument } from "./rerank-scorer.ts";
import type { RerankSet } from "./rerank-set.ts";
import { describeReranker, type Reranker } from "./reranker.ts";
import { refusePictures } from "./sight.ts";

/** Score the documents of a set; what is remarkable about the model goes to `warnings`. */
export async function rankModel(
  open: OpenModel,
  set: RerankSet,
  { server, ...options }: RerankRequestOptions,
  bench: Bench,
  warnings: Set<string>,
  reference?: RerankResult,
): Promise<RankedModel> {
  const start = performance.now();
  const { path, model, fileBytes, bpw } = open;
  refuseProjector(model);
  if (server === undefined) await refusePictures(set, model, bench.engine.library, options.mmproj);
  const reranker = describeReranker(model);
  for (const warning of warningsOf(reranker, set)) warnings.add(warning);
  const scorer = await (server === undefined
    ? openRerankScorer(reranker, options, bench)
    : openServerScorer({ server, reranker, signal: bench.signal }));
  try {
    const scored = await scoreSet(path, scorer, set, bench);
    // a server's model may lie elsewhere
    if (server === undefined) await requireUnchanged(open, bench);
    const scores = scored.map((row) => row.map(({ score, logit }) => present({ score, logit })));
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
    return { path, fileBytes, bpw, rerank, elapsedMs: Math.round(performance.now() - start) };
  } finally {
    await scorer.close();
  }
}

async function scoreSet(
  path: string,
  scorer: RerankScorer,
  { queries }: RerankSet,
  { signal, progress }: Bench,
): Promise<ScoredDocument[][]> {
  const scored: ScoredDocument[][] = [];
  for (const { query, documents, instruct } of queries) {
    scored.push(await scorer.score({ query, documents, instruct, signal }));
    progress.steps(`ranking with ${basename(path)}`, scored.length, queries.length);
  }
  return scored;
}

function warningsOf({ head, template, warnings }: Reranker, { queries }: RerankSet): string[] {
  const instructed = queries.some(({ instruct }) => instruct !== undefined);
  const deaf = template === undefined ? head !== "yes-no-logits" : !takesInstruction(template);
  if (!instructed || !deaf) return [...warnings];
  return [...warnings, 'the prompt has no place for an instruction; "instruct" of the set is left out'];
}
