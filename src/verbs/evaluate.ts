/** Models → Evaluation: of their next tokens, of their ranking, or of both. */
import type { Bench } from "../bench.ts";
import { UsageError } from "../errors.ts";
import { evaluate } from "../evaluate/evaluate.ts";
import type { EvaluateRequest } from "../evaluate/evaluate-options.ts";
import type { Evaluation, RerankEvaluation } from "../evaluate/evaluation.ts";
import { openLocalModel } from "../gguf/open.ts";
import { requireClean } from "../preflight/clean.ts";
import { examineModel } from "../preflight/examine-model.ts";
import { hasRankHead } from "../preflight/rank-head.ts";
import { evaluateRerank, joinRerank } from "../rerank/rerank.ts";

export interface EvaluateModelsRequest extends EvaluateRequest {
  /** Rank documents: a file of JSON Lines, or true for the set that comes with PRISM. */
  readonly rerank?: string | true | undefined;
  /** With `rerank`: a llama-server that runs the model and scores. */
  readonly server?: string | undefined;
  readonly strict?: boolean | undefined;
}

export interface EvaluatedModels {
  /** By the text, with the ranking added where there is one. */
  readonly evaluation: Evaluation | RerankEvaluation;
  readonly judged: Evaluation | undefined;
  readonly ranking: RerankEvaluation | undefined;
}

/** Evaluate. Models that rank with a head of their own are judged by their ranking, asked or not. */
export async function evaluateModels(
  models: readonly string[],
  request: EvaluateModelsRequest,
  bench: Bench,
): Promise<EvaluatedModels> {
  const { reference, text, context, server } = request;
  const rerank = await chooseRerank(models, request, bench);
  const set = typeof rerank === "string" ? rerank : undefined;
  const ranking =
    rerank === undefined ? undefined : await evaluateRerank(models, { reference, server, context, set }, bench);
  if (ranking !== undefined && text === undefined) return { evaluation: ranking, judged: undefined, ranking };
  const judged = await evaluate(models, request, bench);
  return { evaluation: ranking === undefined ? judged : joinRerank(judged, ranking), judged, ranking };
}

/** Check what was asked before the work. */
async function chooseRerank(
  models: readonly string[],
  { reference, server, text, rerank, strict }: EvaluateModelsRequest,
  { signal, progress }: Bench,
): Promise<string | true | undefined> {
  if (server !== undefined && rerank === undefined) {
    throw new UsageError("--server scores documents: give --rerank with it");
  }
  let ranked = rerank;
  for (const path of [...(server === undefined ? models : []), ...(reference === undefined ? [] : [reference])]) {
    const open = await openLocalModel(path);
    const found = await examineModel(open, { signal }).finally(() => open.close());
    // what is judged here is quantized as a rule
    const findings = found.filter(({ code }) => code !== "already-quantized");
    for (const { severity, message, remedy } of findings) {
      if (severity !== "info") progress.note(`! ${message}; ${remedy}`);
    }
    if (strict) requireClean(path, findings);
    if (ranked !== undefined || text !== undefined || !hasRankHead(open.model)) continue;
    progress.note(`${path} ranks with a head of its own: judged by its ranking, as with --rerank`);
    ranked = true;
  }
  if (ranked === undefined && reference === undefined && text === undefined) {
    throw new UsageError(
      "perplexity alone needs a text: give --text FILE, or --reference MODEL to compare on sampled text",
    );
  }
  return ranked;
}
