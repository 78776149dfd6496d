/**
 * Models that embed + reference + texts → how far their vectors, and what is found by them, are from the reference's. All
 * models of one session embed the same texts, so that they can be compared pairwise, text by text.
 */
import { basename } from "node:path";
import type { Bench } from "../bench.ts";
import { requireLibrary } from "../engine/engine.ts";
import { FormatError, UsageError } from "../errors.ts";
import type { EmbeddingResult } from "../evaluate/embedding-result.ts";
import type { EmbeddedModel, EmbeddingEvaluation } from "../evaluate/evaluation.ts";
import { evaluationHead } from "../evaluate/evaluation-head.ts";
import { fitLayers } from "../evaluate/gpu-layers.ts";
import { openTokenGate, type TokenGate } from "../evaluate/token-gate.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openLocalModel } from "../gguf/open.ts";
import { refuseProjector } from "../intake/source-checks.ts";
import { present } from "../present.ts";
import { summarizeSet } from "../rerank/rerank-set.ts";
import { DEFAULT_EMBED_CONTEXT, type EmbedderOptions, openEmbedder, poolingOf } from "./embedder.ts";
import { compareVectors, retrievalGain, type Vectors } from "./embedding-fidelity.ts";
import { type RetrievalSet, readRetrievalSet } from "./retrieval-set.ts";

export interface EmbeddingOptions extends EmbedderOptions {
  /** A file of JSON Lines; without one the set that comes with PRISM. */
  readonly set?: string | undefined;
  /** What the model wants before a query and before a document: "query: ". */
  readonly queryPrefix?: string | undefined;
  readonly documentPrefix?: string | undefined;
}

export interface EmbeddingSession {
  readonly set: EmbeddingEvaluation["retrievalSet"];
  readonly reference?: NonNullable<EmbeddingEvaluation["reference"]> | undefined;
  /** Grows with the models that are judged. */
  readonly warnings: readonly string[];
  embedModel(model: OpenModel): Promise<EmbeddedModel>;
}

/** Open a session; embeds with the reference, after `models`, as far as they are known, were held to its tokens. */
export async function openEmbeddingSession(
  reference: OpenModel | undefined,
  request: EmbeddingOptions,
  bench: Bench,
  models: readonly OpenModel[] = [],
): Promise<EmbeddingSession> {
  const set = await readRetrievalSet(request.set);
  const gate = reference && openEmbeddingGate(reference, set, bench);
  for (const model of models) await gate?.admit(model);
  // a quantized file may lack the key that its reference has
  const pooling = request.pooling ?? (reference && poolingOf(reference));
  const options = { ...request, pooling };
  const known = reference && (await embedSet(reference, set, options, bench));
  const prefixes = present({ queryPrefix: request.queryPrefix, documentPrefix: request.documentPrefix });
  return {
    set: { ...summarizeSet(set.source), documents: set.documents.length, ...prefixes },
    reference: known && {
      path: known.open.path,
      headerHash: known.open.model.headerHash,
      embedding: describe(known, set),
    },
    get warnings() {
      return gate?.notes ?? [];
    },
    async embedModel(model) {
      const start = performance.now();
      await gate?.admit(model);
      const embedded = await embedSet(model, set, options, bench);
      if (known !== undefined) requireSameWidth(embedded, known);
      const { path, fileBytes, bpw } = model;
      const embedding = describe(embedded, set, known);
      return { path, fileBytes, bpw, embedding, elapsedMs: Math.round(performance.now() - start) };
    },
  };
}

/** Vectors need no value per token: rows that only fill a vocabulary up may differ. */
function openEmbeddingGate(reference: OpenModel, { queries, documents }: RetrievalSet, bench: Bench): TokenGate {
  const texts = [...queries.map(({ query }) => query), ...documents];
  const { threads, signal } = bench;
  return openTokenGate(
    reference,
    {
      texts,
      async load({ path }) {
        const ranker = await requireLibrary(bench.engine).loadRanker({ model: path, threads, gpuLayers: 0, signal });
        const cut = (asked: readonly string[]) => ranker.encode(asked, { addSpecial: true, parseSpecial: false });
        return { cut, close: () => ranker.close() };
      },
    },
    { padding: true },
  );
}

interface EmbeddedSet {
  readonly open: OpenModel;
  readonly pooling: EmbeddingResult["pooling"];
  readonly vectors: Vectors;
  readonly truncated: number;
  readonly tokens: number;
}

/** How progress speaks of it, before the name of the model. */
const EMBEDDING_STAGE = "embedding texts with ";

/** Queries and documents are embedded a few at a time, so that it is seen how far it is. */
const TEXTS_AT_ONCE = 8;

async function embedSet(
  open: OpenModel,
  set: RetrievalSet,
  options: EmbeddingOptions,
  bench: Bench,
): Promise<EmbeddedSet> {
  const { queryPrefix = "", documentPrefix = "" } = options;
  refuseProjector(open.model);
  const texts = [
    ...set.queries.map(({ query }) => queryPrefix + query),
    ...set.documents.map((document) => documentPrefix + document),
  ];
  const embedder = await openEmbedder(open, options, bench);
  try {
    const made = [];
    for (let next = 0; next < texts.length; next += TEXTS_AT_ONCE) {
      made.push(...(await embedder.embed(texts.slice(next, next + TEXTS_AT_ONCE), bench.signal)));
      bench.progress.steps(`${EMBEDDING_STAGE}${basename(open.path)}`, made.length, texts.length);
    }
    await requireUnchanged(open, bench);
    const vectors = made.map(({ vector }) => vector);
    return {
      open,
      pooling: embedder.pooling,
      vectors: { queries: vectors.slice(0, set.queries.length), documents: vectors.slice(set.queries.length) },
      truncated: made.filter(({ truncated }) => truncated).length,
      tokens: made.reduce((sum, { tokens }) => sum + tokens, 0),
    };
  } finally {
    await embedder.close();
  }
}

/** Throws FormatError for a model whose vectors are of another width than the reference's. */
function requireSameWidth(own: EmbeddedSet, reference: EmbeddedSet): void {
  const [width, expected] = [own, reference].map(({ vectors }) => vectors.documents[0]?.length);
  if (width === expected) return;
  throw new FormatError(
    own.open.path,
    `its vectors have ${width} numbers, those of the reference ${reference.open.path} ${expected}; evaluate it against the model it was made from`,
  );
}

function describe(
  { pooling, vectors, truncated, tokens }: EmbeddedSet,
  set: RetrievalSet,
  reference?: EmbeddedSet,
): EmbeddingResult {
  const fidelity = reference && compareVectors(vectors, reference.vectors);
  const dimensions = vectors.documents[0]?.length ?? 0;
  return {
    pooling,
    dimensions,
    ...present({ ndcg10: retrievalGain(vectors, set), fidelity }),
    truncated,
    tokens,
  };
}

/** Judge several models by their embeddings. */
export async function evaluateEmbeddings(
  models: readonly string[],
  request: EmbeddingOptions & { readonly reference?: string | undefined },
  bench: Bench,
): Promise<EmbeddingEvaluation> {
  if (models.length === 0) throw new UsageError("nothing to evaluate; name at least one model");
  const opened: OpenModel[] = [];
  try {
    const reference = request.reference === undefined ? undefined : await openLocalModel(request.reference);
    if (reference !== undefined) opened.push(reference);
    const judged: OpenModel[] = [];
    for (const path of models) {
      const model = await openLocalModel(path);
      opened.push(model);
      judged.push(model);
    }
    const { context = DEFAULT_EMBED_CONTEXT } = request;
    const fitted = fitLayers(bench, opened[0] as OpenModel, { context });
    const session = await openEmbeddingSession(reference, request, fitted, judged);
    const embedded: EmbeddedModel[] = [];
    for (const model of judged) embedded.push(await session.embedModel(model));
    return assembleEmbeddingEvaluation(session, embedded, fitted);
  } finally {
    await Promise.all(opened.map((model) => model.close()));
  }
}

export function assembleEmbeddingEvaluation(
  session: EmbeddingSession,
  models: readonly EmbeddedModel[],
  bench: Pick<Bench, "engine" | "gpuLayers">,
): EmbeddingEvaluation {
  return {
    ...evaluationHead(bench),
    ...present({ reference: session.reference }),
    retrievalSet: session.set,
    models,
    warnings: session.warnings,
  };
}
