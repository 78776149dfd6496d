/**
 * Rerankers + reference + documents → scores, and how far the models' are from the reference's. All models of one session
 * score the same documents, so that they can be compared pairwise, query by query.
 */
import type { Engine } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import type { Evaluation, RankedModel, RerankEvaluation } from "../evaluate/evaluation.ts";
import type { RerankSetSummary } from "../evaluate/rerank-result.ts";
import { PRISM_VERSION } from "../version.ts";
import { rankModel } from "./rank-model.ts";
import { type RerankSet, readRerankSet } from "./rerank-set.ts";

export interface RerankSessionOptions {
  readonly engine: Engine;
  /** What models are compared with. */
  readonly reference?: string;
  /** A file of JSON Lines; without one the set that comes with PRISM. */
  readonly set?: string;
  /** A llama-server that runs the model; the reference is scored by the engine. */
  readonly server?: string;
  /** Most tokens of a prompt. */
  readonly context?: number;
  readonly threads: number;
  readonly gpuLayers: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

export interface RerankSession {
  readonly set: RerankSetSummary;
  readonly reference?: NonNullable<RerankEvaluation["reference"]>;
  /** Grows with the models that are ranked. */
  readonly warnings: readonly string[];
  rankModel(path: string): Promise<RankedModel>;
}

/** Characters by which an evaluation knows a text. */
const LABEL_CHARACTERS = 80;

/** Open a session; scores the reference. Throws what readRerankSet, describeReranker and the scorers throw. */
export async function openRerankSession(options: RerankSessionOptions): Promise<RerankSession> {
  const warnings = new Set<string>();
  const whole = await readRerankSet(options.set);
  const set = options.server === undefined ? whole : withoutInstructions(whole, warnings);
  const { server: _, ...withoutServer } = options;
  const reference =
    options.reference === undefined ? undefined : await rankModel(options.reference, set, withoutServer, warnings);
  return {
    set: summarizeSet(set),
    ...(reference === undefined
      ? {}
      : {
          reference: {
            path: reference.ranked.path,
            headerHash: reference.headerHash,
            rerank: reference.ranked.rerank,
          },
        }),
    get warnings() {
      return [...warnings];
    },
    async rankModel(path) {
      return (await rankModel(path, set, options, warnings, reference?.ranked.rerank)).ranked;
    },
  };
}

/** Both sides of a comparison must be asked the same. */
function withoutInstructions(set: RerankSet, warnings: Set<string>): RerankSet {
  if (set.queries.every(({ instruct }) => instruct === undefined)) return set;
  warnings.add('llama-server\'s /v1/rerank takes no instruction; "instruct" of the set is left out');
  return { ...set, queries: set.queries.map(({ instruct: _, ...query }) => query) };
}

/** Rank with several models. Throws UsageError for several models on one server. */
export async function evaluateRerank(
  options: RerankSessionOptions & { readonly models: readonly string[] },
): Promise<RerankEvaluation> {
  if (options.models.length === 0) throw new UsageError("nothing to evaluate; name at least one model");
  if (options.server !== undefined && options.models.length > 1) {
    throw new UsageError("--server: a llama-server runs one model; name the one it runs");
  }
  const session = await openRerankSession(options);
  const models: RankedModel[] = [];
  for (const path of options.models) models.push(await session.rankModel(path));
  return assembleRerankEvaluation(options.engine, session, models);
}

export function assembleRerankEvaluation(
  { info: { kind, version, origin, devices } }: Engine,
  session: RerankSession,
  models: readonly RankedModel[],
): RerankEvaluation {
  return {
    schema: "prism.evaluation/1",
    prismVersion: PRISM_VERSION,
    createdAt: new Date().toISOString(),
    engine: { kind, version, origin, devices },
    ...(session.reference === undefined ? {} : { reference: session.reference }),
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

function summarizeSet({ path, sha256, queries }: RerankSet): RerankSetSummary {
  return {
    source: path === undefined ? "default" : "file",
    ...(path === undefined ? {} : { path }),
    sha256,
    queries: queries.map(({ query, documents }) => ({ query: label(query), documents: documents.map(label) })),
  };
}

function label(text: string): string {
  const characters = [...text];
  if (characters.length <= LABEL_CHARACTERS) return text;
  return `${characters.slice(0, LABEL_CHARACTERS - 1).join("")}…`;
}
