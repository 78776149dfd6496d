/** Scores queries and documents with images in the embedded engine, where that sees. */
import type { LoadedRanker } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import type { PromptForm } from "./encode-prompts.ts";
import type { RankContent } from "./rank-content.ts";
import { scoreOutputs } from "./rerank-head.ts";
import type { RerankRequest, ScoredDocument } from "./rerank-scorer.ts";
import type { Reranker } from "./reranker.ts";
import { promptParts } from "./seen-prompts.ts";
import { blind, chooseProjector } from "./sight.ts";

export interface SeeingReranker {
  readonly ranker: LoadedRanker;
  readonly reranker: Reranker;
  readonly form: PromptForm;
  /** Most tokens of a prompt. */
  readonly limit: number;
  /** "yes" and "no" of a causal reranker. */
  readonly ids: Int32Array | undefined;
  /** The projector that was named. */
  readonly mmproj: string | undefined;
}

/** Scores in the order of the documents. Throws UsageError where nothing sees, and for prompts too long: no image is cut. */
export async function scorePictured(
  { ranker, reranker, form, limit, ids, mmproj }: SeeingReranker,
  request: RerankRequest<RankContent>,
): Promise<ScoredDocument[]> {
  const { query, documents, instruct, documentTokens, promptTokens, signal, pause } = request;
  const { template } = form;
  if (ranker.see === undefined) throw blind();
  if (template === undefined) throw new UsageError(`${reranker.path} has no prompt that an image has a place in`);
  if (documentTokens !== undefined || promptTokens !== undefined) {
    throw new UsageError("documents with images are read whole; leave out what bounds their tokens");
  }
  const projector = await chooseProjector(reranker.path, mmproj);
  const scored: ScoredDocument[] = [];
  for (const [index, document] of documents.entries()) {
    signal?.throwIfAborted();
    const prompt = promptParts(template, { query, document, instruct }, form);
    const [seen] = await ranker.see([prompt], { projector, context: limit, ids, signal });
    if (seen?.problem !== undefined) throw new UsageError(`document ${index}: ${seen.problem}`);
    if (seen?.values === undefined) {
      throw new UsageError(
        `document ${index} has ${seen?.tokens} tokens with the prompt around it, at most ${limit} are read; make its image smaller, or allow longer prompts (--context)`,
      );
    }
    const score = scoreOutputs(reranker.path, reranker.head, seen.values, reranker.relevant);
    scored.push({ ...score, tokens: seen.tokens, truncated: false });
    await pause?.();
  }
  return scored;
}
