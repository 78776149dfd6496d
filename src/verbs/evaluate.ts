/** Models → Evaluation: of their next tokens, of their ranking, of both, or of their embeddings. */
import type { Bench } from "../bench.ts";
import { isEmbedder } from "../embed/embedder.ts";
import { evaluateEmbeddings } from "../embed/embeddings.ts";
import { UsageError } from "../errors.ts";
import { evaluate } from "../evaluate/evaluate.ts";
import type { EvaluateRequest } from "../evaluate/evaluate-options.ts";
import type { EmbeddingEvaluation, Evaluation, RerankEvaluation } from "../evaluate/evaluation.ts";
import type { EmbeddingPooling } from "../ggml/model-facts.ts";
import { openLocalModel } from "../gguf/open.ts";
import { hasRankHead } from "../preflight/rank-head.ts";
import { evaluateRerank, joinRerank } from "../rerank/rerank.ts";
import type { PromptOptions } from "../rerank/rerank-scorer.ts";
import { requireMeasured } from "../run/gates.ts";
import { refuseOptions } from "./given-option.ts";
import { examineJudged } from "./judged-model.ts";
import { held, modelGates } from "./model-gates.ts";
import { cacheToJudge } from "./vram-request.ts";

export interface EvaluateModelsRequest extends Omit<EvaluateRequest, "kv">, PromptOptions {
  /** Judge with caches of keys and values of this type too, like q8_0; of keys, then of values: "q8_0,q4_0". */
  readonly kv?: string | undefined;
  /** Rank documents: a file of JSON Lines, or true for the set that comes with PRISM. */
  readonly rerank?: string | true | undefined;
  /** With `rerank`: a llama-server that runs the model and scores. */
  readonly server?: string | undefined;
  /** With `rerank` and `reference`: one that runs the reference. */
  readonly referenceServer?: string | undefined;
  /** Texts that embeddings are judged by (JSON Lines); by default the set that comes with PRISM. */
  readonly retrieval?: string | undefined;
  /** How hidden states become an embedding; by default as the model says. */
  readonly pooling?: EmbeddingPooling | undefined;
  readonly queryPrefix?: string | undefined;
  readonly documentPrefix?: string | undefined;
  /** Conditions like "kld<=0.05" that every model has to meet: `gates` of each answers them. */
  readonly require?: readonly string[] | undefined;
  readonly strict?: boolean | undefined;
  /** Go on with a model that llama.cpp does not load. */
  readonly forceFindings?: boolean | undefined;
}

export interface EvaluatedModels {
  /** By the text, with the ranking added where there is one; or by embeddings. */
  readonly evaluation: Evaluation | RerankEvaluation | EmbeddingEvaluation;
  readonly judged?: Evaluation;
  readonly ranking?: RerankEvaluation;
  readonly embeddings?: EmbeddingEvaluation;
}

/** Evaluate. Models that rank with a head of their own, or embed, are judged by that, asked or not. Missed gates are in the result. */
export async function evaluateModels(
  models: readonly string[],
  request: EvaluateModelsRequest,
  bench: Bench,
): Promise<EvaluatedModels> {
  const { reference, text, context, server, referenceServer, pooling, queryPrefix, documentPrefix } = request;
  const gates = modelGates(request);
  const { rerank, embeds } = await chooseMeasure(models, request, bench);
  const measures = { text: !embeds && (rerank === undefined || text !== undefined), rerank: rerank !== undefined };
  const timed = request.speed === true && bench.engine.programs === undefined;
  requireMeasured(gates, { ...measures, embeddings: embeds, speed: timed }, { reference: reference !== undefined });
  checkPromptOptions(request, rerank !== undefined);
  if (request.speed === true && (embeds || (rerank !== undefined && text === undefined))) {
    throw new UsageError("--speed: these models are judged by documents or vectors, and only next tokens are timed");
  }
  refuseMore(request, embeds || (rerank !== undefined && text === undefined));
  if (embeds) {
    const asked = { reference, context, pooling, queryPrefix, documentPrefix, set: request.retrieval };
    const embeddings = held(gates, await evaluateEmbeddings(models, asked, bench));
    return { evaluation: embeddings, embeddings };
  }
  const set = typeof rerank === "string" ? rerank : undefined;
  const { yes, no, parseSpecial, pairs, mmproj } = request;
  const asked = { reference, server, referenceServer, context, set, yes, no, parseSpecial, pairs, mmproj };
  const ranked = rerank === undefined ? undefined : await evaluateRerank(models, asked, bench);
  if (ranked !== undefined && text === undefined) {
    const ranking = held(gates, ranked);
    return { evaluation: ranking, ranking };
  }
  const judged = await evaluate(models, { ...request, kv: cacheToJudge(request.kv) }, bench);
  if (ranked === undefined) {
    const evaluation = held(gates, judged);
    return { evaluation, judged: evaluation };
  }
  return { evaluation: held(gates, joinRerank(judged, ranked)), judged, ranking: ranked };
}

/** Kinds of text and caches are judged by next tokens. */
function refuseMore({ kinds, kv }: EvaluateModelsRequest, isOther: boolean): void {
  if (isOther) {
    refuseOptions({ "--kinds": kinds, "--kv": kv }, "these models are judged by documents or vectors");
  }
}

/** Options of prompts where none is read, or a llama-server reads them. */
function checkPromptOptions(request: EvaluateModelsRequest, ranks: boolean): void {
  const { yes, no, parseSpecial, pairs, server } = request;
  const prompts = { "--yes": yes, "--no": no, "--parse-special": parseSpecial, "--pairs": pairs };
  if (!ranks) refuseOptions({ ...prompts, "--mmproj": request.mmproj }, "no documents are scored here (--rerank)");
  if (server !== undefined) refuseOptions(prompts, "with --server its prompt is used");
}

/** Check what was asked before the work. */
async function chooseMeasure(
  models: readonly string[],
  { reference, server, referenceServer, text, rerank, strict, forceFindings, ...ofEmbeddings }: EvaluateModelsRequest,
  bench: Bench,
): Promise<{ readonly rerank?: string | true | undefined; readonly embeds: boolean }> {
  if (server !== undefined && rerank === undefined) {
    throw new UsageError("--server scores documents: give --rerank with it");
  }
  if (referenceServer !== undefined && (rerank === undefined || reference === undefined)) {
    throw new UsageError(
      "--reference-server scores documents with the reference: give --rerank and --reference with it",
    );
  }
  const { progress } = bench;
  const said = new Set<string>();
  let ranked = rerank;
  const { retrieval, pooling, queryPrefix, documentPrefix } = ofEmbeddings;
  let embeds = [retrieval, pooling, queryPrefix, documentPrefix].some((asked) => asked !== undefined);
  if (embeds && (text ?? rerank) !== undefined) {
    throw new UsageError("--retrieval judges embeddings, --text and --rerank something else; give one of them");
  }
  for (const path of [...(server === undefined ? models : []), ...(reference === undefined ? [] : [reference])]) {
    const open = await openLocalModel(path);
    const checks = { strict, forceFindings, byText: text !== undefined, said };
    await examineJudged(open, checks, bench).finally(() => open.close());
    if (ranked !== undefined || text !== undefined || embeds) continue;
    if (hasRankHead(open.model)) {
      progress.note(`${path} ranks with a head of its own: judged by its ranking, as with --rerank`);
      ranked = true;
    } else if (isEmbedder(open)) {
      progress.note(`${path} embeds: judged by its vectors, and what they find`);
      embeds = true;
    }
  }
  if (ranked === undefined && !embeds && reference === undefined && text === undefined) {
    throw new UsageError(
      "perplexity alone needs a text: give --text FILE, or --reference MODEL to compare on sampled text",
    );
  }
  return { rerank: ranked, embeds };
}
