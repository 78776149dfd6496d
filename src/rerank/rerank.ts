/**
 * Rerankers + reference + documents → scores, and how far the models' are from the reference's. All models of one session
 * score the same documents, so that they can be compared pairwise, query by query.
 */
import type { Bench } from "../bench.ts";
import { requireLibrary } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import type { Evaluation, RankedModel, RerankEvaluation } from "../evaluate/evaluation.ts";
import { evaluationHead } from "../evaluate/evaluation-head.ts";
import { fitLayers } from "../evaluate/gpu-layers.ts";
import type { RerankSetSummary } from "../evaluate/rerank-result.ts";
import { type CutTexts, openTokenGate, type TextCutter, type TokenGate } from "../evaluate/token-gate.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openLocalModel, openModel } from "../gguf/open.ts";
import { findProjectors } from "../preflight/projector-files.ts";
import { present } from "../present.ts";
import { isOfTexts } from "./rank-content.ts";
import { rankModel } from "./rank-model.ts";
import { DEFAULT_RERANK_CONTEXT, type PromptOptions } from "./rerank-scorer.ts";
import { type RerankSet, readRerankSet, summarizeSet } from "./rerank-set.ts";

export interface RerankRequestOptions extends PromptOptions {
  /** A file of JSON Lines; without one the set that comes with PRISM. */
  readonly set?: string | undefined;
  /** A llama-server that runs the model; the reference is scored by the engine unless it has one of its own. */
  readonly server?: string | undefined;
  /** One that runs the reference. */
  readonly referenceServer?: string | undefined;
  /** Most tokens of a prompt. */
  readonly context?: number | undefined;
}

export interface EvaluateRerankRequest extends RerankRequestOptions {
  /** Path of the model that others are compared with. */
  readonly reference?: string | undefined;
}

export interface RerankSession {
  readonly set: RerankSetSummary;
  readonly reference?: NonNullable<RerankEvaluation["reference"]> | undefined;
  /** Grows with the models that are ranked. */
  readonly warnings: readonly string[];
  rankModel(model: OpenModel): Promise<RankedModel>;
}

/** Open a session; scores the reference, after `models`, as far as they are known, were held to its tokens. Throws what readRerankSet, describeReranker and the scorers throw. */
export async function openRerankSession(
  reference: OpenModel | undefined,
  request: RerankRequestOptions,
  bench: Bench,
  models: readonly OpenModel[] = [],
): Promise<RerankSession> {
  const warnings = new Set<string>();
  const whole = await readRerankSet(request.set);
  const { server, referenceServer } = request;
  // files of one model are compared with one projector, wherever they lie
  const beside = whole.queries.every(isOfTexts) || reference === undefined ? [] : await findProjectors(reference.model);
  const asked = { ...request, mmproj: request.mmproj ?? beside[0]?.path };
  const set = (server ?? referenceServer) === undefined ? whole : withoutInstructions(whole, warnings);
  const gate = reference && openRerankGate(reference, set, request, bench);
  for (const model of models) await gate?.admit(model);
  const ranked =
    reference &&
    (await rankModel(reference, set, { ...asked, ...likeServer(request), server: referenceServer }, bench, warnings))
      .rerank;
  return {
    set: summarizeSet(set),
    reference: reference && ranked && { path: reference.path, headerHash: reference.model.headerHash, rerank: ranked },
    get warnings() {
      return [...warnings, ...(gate?.notes ?? [])];
    },
    async rankModel(model) {
      await gate?.admit(model);
      return rankModel(model, set, asked, bench, warnings, ranked);
    },
  };
}

/** Scores need no value per token: rows that only fill a vocabulary up may differ. */
function openRerankGate(
  reference: OpenModel,
  { queries }: RerankSet,
  { server }: RerankRequestOptions,
  bench: Bench,
): TokenGate {
  const contents = queries.flatMap(({ query, documents }) => [query, ...documents]);
  const texts = contents.flatMap((content) => (typeof content === "string" ? content : (content.text ?? [])));
  const load: CutTexts["load"] = async ({ path }) => {
    const { threads, signal } = bench;
    const ranker = await requireLibrary(bench.engine).loadRanker({ model: path, threads, gpuLayers: 0, signal });
    const cut: TextCutter["cut"] = (asked) => ranker.encode(asked, { addSpecial: true, parseSpecial: true });
    return { cut, close: () => ranker.close() };
  };
  const by = server === undefined ? { texts, load } : { note: "the server cuts the text itself, unseen" };
  return openTokenGate(reference, by, { padding: true });
}

/** A llama-server takes special tokens wherever they are written: so does the reference that it is compared with. */
function likeServer({ server }: RerankRequestOptions): Pick<RerankRequestOptions, "parseSpecial"> {
  return server === undefined ? {} : { parseSpecial: "llama.cpp" };
}

/** Both sides of a comparison must be asked the same. */
function withoutInstructions(set: RerankSet, warnings: Set<string>): RerankSet {
  if (set.queries.every(({ instruct }) => instruct === undefined)) return set;
  warnings.add('llama-server\'s /v1/rerank takes no instruction; "instruct" of the set is left out');
  return { ...set, queries: set.queries.map(({ instruct: _, ...query }) => query) };
}

/** Rank with several models. Throws UsageError for several models on one server. */
export async function evaluateRerank(
  models: readonly string[],
  request: EvaluateRerankRequest,
  bench: Bench,
): Promise<RerankEvaluation> {
  if (models.length === 0) throw new UsageError("nothing to evaluate; name at least one model");
  if (request.server !== undefined && models.length > 1) {
    throw new UsageError("--server: a llama-server runs one model; name the one it runs");
  }
  const reference = request.reference === undefined ? undefined : await openLocalModel(request.reference);
  const opened: OpenModel[] = [];
  try {
    // a server's model may lie elsewhere: its header is enough
    for (const path of models)
      opened.push(await (request.server === undefined ? openLocalModel(path) : openModel(path)));
    const { server, context = DEFAULT_RERANK_CONTEXT } = request;
    const first = reference ?? (server === undefined ? opened[0] : undefined);
    const fitted = first === undefined ? bench : fitLayers(bench, first, { context });
    const session = await openRerankSession(reference, request, fitted, opened);
    const ranked: RankedModel[] = [];
    for (const model of opened) ranked.push(await session.rankModel(model));
    return assembleRerankEvaluation(session, ranked, fitted);
  } finally {
    await Promise.all([reference, ...opened].map((model) => model?.close()));
  }
}

export function assembleRerankEvaluation(
  session: RerankSession,
  models: readonly RankedModel[],
  bench: Pick<Bench, "engine" | "gpuLayers">,
): RerankEvaluation {
  return {
    ...evaluationHead(bench),
    ...present({ reference: session.reference }),
    rerankSet: session.set,
    models,
    warnings: session.warnings,
  };
}

/** An evaluation of a text with what the same models' ranking says added. */
export function joinRerank(evaluation: Evaluation, ranking: RerankEvaluation): Evaluation {
  const { reference } = evaluation;
  return {
    ...evaluation,
    ...(reference === undefined || ranking.reference === undefined
      ? {}
      : { reference: { ...reference, rerank: ranking.reference.rerank } }),
    rerankSet: ranking.rerankSet,
    models: evaluation.models.map((model, index) => {
      const rerank = ranking.models[index]?.rerank;
      return rerank === undefined ? model : { ...model, rerank };
    }),
    warnings: [...evaluation.warnings, ...ranking.warnings],
  };
}
