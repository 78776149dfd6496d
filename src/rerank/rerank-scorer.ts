/** Scores documents with a reranker in the embedded engine. */
import type { Bench } from "../bench.ts";
import type { LoadedRanker } from "../engine/engine.ts";
import { EngineError, UsageError } from "../errors.ts";
import type { DocumentScore } from "../evaluate/rerank-result.ts";
import { type Answers, answerTokens } from "./answer-tokens.ts";
import { buildPrompts, type Prompt } from "./build-prompts.ts";
import { type PairWay, type PromptForm, promptForm, type SpecialPlace } from "./encode-prompts.ts";
import { type Asked, isOfTexts, type RankContent } from "./rank-content.ts";
import { scoreOutputs } from "./rerank-head.ts";
import type { Reranker } from "./reranker.ts";
import { scorePictured } from "./score-pictured.ts";
import { countShared, sharedBeginning } from "./shared-beginning.ts";
import { requireProjector } from "./sight.ts";

/** Longer prompts than this are cut unless asked otherwise: memory grows with the context, and few models rank by more. */
export const DEFAULT_RERANK_CONTEXT = 8192;

/** Tokens decoded between two looks at whether to stop. */
const TOKENS_PER_CALL = 2048;

export interface ScoredDocument extends DocumentScore {
  /** Of the prompt, query included. Absent where a server did not count them. */
  readonly tokens?: number;
  /** Whether the document was cut to fit the context. */
  readonly truncated: boolean;
}

/** How long documents may be, besides the context; what is longer is cut at its end. */
export interface Lengths {
  /** Tokens of a document. */
  readonly documentTokens?: number | undefined;
  /** Tokens of a prompt, query included. */
  readonly promptTokens?: number | undefined;
  /** Refuse what is longer. */
  readonly refuseLonger?: boolean | undefined;
}

export interface RerankRequest<Content = string> extends Lengths, Asked<Content> {
  readonly instruct?: string | undefined;
  /** Looked at between batches, beside the bench's. */
  readonly signal?: AbortSignal | undefined;
  /** Awaited between batches: others may use the scorer meanwhile. */
  readonly pause?: (() => Promise<void>) | undefined;
}

export interface RerankScorer {
  readonly reranker: Reranker;
  /** Where the scores come from: "embedded", or an address. */
  readonly scoredBy: string;
  /** Longest prompt in tokens. Absent where a server has its own. */
  readonly contextTokens?: number | undefined;
  /** Scores in the order of the documents. Throws the reason of an aborted signal, UsageError for a query too long, a document, or pictures it can't read. */
  score(request: RerankRequest<RankContent>): Promise<ScoredDocument[]>;
  close(): Promise<void>;
}

/** How prompts are read and answered, where the model does not say. */
export interface ReadingOptions extends Answers {
  /** Where special tokens that are written out count. Default: in the template alone. */
  readonly parseSpecial?: SpecialPlace | undefined;
  /** Of a BERT that reads pairs. Default: as llama.cpp takes them. */
  readonly pairs?: PairWay | undefined;
}

export interface PromptOptions extends ReadingOptions {
  /** Path of the projector that reads images. Default: the one that lies beside the model. */
  readonly mmproj?: string | undefined;
}

export interface ScorerOptions extends PromptOptions {
  /** Most tokens of a prompt. */
  readonly context?: number | undefined;
}

/** What a scorer needs of a bench. */
export type ScorerBench = Pick<Bench, "engine" | "threads" | "gpuLayers" | "signal">;

/**
 * Load a reranker. `context` is the most tokens of a prompt, by default DEFAULT_RERANK_CONTEXT; never more than the model
 * was trained with. Throws EngineError where llama.cpp can't, FormatError where its tokenizer has no "yes" and "no".
 */
export async function openRerankScorer(
  reranker: Reranker,
  { context = DEFAULT_RERANK_CONTEXT, parseSpecial, mmproj, ...answers }: ScorerOptions,
  { engine, threads, gpuLayers, signal }: ScorerBench,
): Promise<RerankScorer> {
  if (engine.programs !== undefined) {
    throw new EngineError(
      "the programs of llama.cpp can't score documents here; leave --llama-dir out, or give --server URL",
    );
  }
  if (mmproj !== undefined) await requireProjector(mmproj);
  const ranker = await engine.library.loadRanker({ model: reranker.path, threads, gpuLayers, signal });
  try {
    // Beyond the context it was trained with a model has no positions, and llama.cpp may end its process.
    const limit = Math.min(context, ranker.contextTrain || Number.POSITIVE_INFINITY);
    const form = promptForm(reranker, parseSpecial);
    const { outputsOf, ids } = await chooseOutputs(ranker, reranker, form, answers, signal);
    return {
      reranker,
      scoredBy: "embedded",
      contextTokens: limit,
      score: (request) =>
        isOfTexts(request)
          ? scoreDocuments({ ranker, reranker, form, limit, outputsOf }, request)
          : scorePictured({ ranker, reranker, form, limit, ids, mmproj }, request),
      close: () => ranker.close(),
    };
  } catch (error) {
    await ranker.close();
    throw error;
  }
}

/** All prompts begin with the same tokens, as many as are shared. */
type OutputsOf = (prompts: readonly Ready[]) => Promise<readonly Float32Array[]>;

async function chooseOutputs(
  ranker: LoadedRanker,
  { head, path, pairTypes }: Reranker,
  form: PromptForm,
  { pairs: way, ...answers }: PromptOptions,
  signal: AbortSignal,
): Promise<{ readonly outputsOf: OutputsOf; readonly ids?: Int32Array }> {
  if (way === "published" && pairTypes === undefined) {
    throw new UsageError(`--pairs published: ${path} joins no pairs, or has no types to tell their texts apart by`);
  }
  if (head !== "yes-no-logits") {
    const typed = way === "published" ? pairTypes : undefined;
    return {
      outputsOf(prompts) {
        const pairs = typed && { ...typed, seconds: prompts.map(({ second = 0 }) => second) };
        return ranker.pool(idsOf(prompts), { pooling: "rank", shared: prompts[0]?.shared ?? 0, pairs, signal });
      },
    };
  }
  const ids = await answerTokens(ranker, path, form, answers);
  return {
    ids,
    outputsOf: (prompts) => ranker.nextLogits(idsOf(prompts), { ids, shared: prompts[0]?.shared ?? 0, signal }),
  };
}

function idsOf(prompts: readonly Prompt[]): Int32Array[] {
  return prompts.map(({ ids }) => ids);
}

interface Loaded {
  readonly ranker: LoadedRanker;
  readonly reranker: Reranker;
  readonly form: PromptForm;
  readonly limit: number;
  readonly outputsOf: OutputsOf;
}

async function scoreDocuments(
  { ranker, reranker, form, limit, outputsOf }: Loaded,
  request: RerankRequest,
): Promise<ScoredDocument[]> {
  const { signal, pause } = request;
  const prompts = await buildPrompts(ranker, form, limit, request);
  const beginning = readsOnwards(reranker) ? await sharedBeginning(ranker, form, request) : new Int32Array();
  const ready = prompts.map((prompt, index): Ready => {
    const shared = countShared(prompt.ids, beginning);
    return { ...prompt, index, shared, rest: prompt.ids.length - shared };
  });
  // Prompts of about the same length share a context without waste.
  ready.sort((a, b) => a.shared - b.shared || a.rest - b.rest);
  const scored: ScoredDocument[] = [];
  for (let next = 0; next < ready.length; ) {
    signal?.throwIfAborted();
    const batch = takeBatch(ready, next);
    const outputs = await outputsOf(batch);
    batch.forEach(({ index, ids, truncated }, row) => {
      const values = outputs[row] as Float32Array;
      const score = scoreOutputs(reranker.path, reranker.head, values, reranker.relevant);
      scored[index] = { ...score, tokens: ids.length, truncated };
    });
    next += batch.length;
    await pause?.();
  }
  return scored;
}

/** Whether no token sees those after it, and the last one says the score: qwen3, qwen3vl, and all that speak. */
function readsOnwards({ head, bidirectional = false }: Reranker): boolean {
  return !bidirectional && (head === "yes-no-logits" || head === "softmax-in-graph");
}

/** A prompt with its place in the request. */
interface Ready extends Prompt {
  readonly index: number;
  /** Tokens it begins with as others do, and tokens it has after them. */
  readonly shared: number;
  readonly rest: number;
}

/** From `first` on what fits into one call, one at least. */
function takeBatch(ready: readonly Ready[], first: number): Ready[] {
  const { shared } = ready[first] as Ready;
  const batch = [ready[first] as Ready];
  for (const next of ready.slice(first + 1)) {
    if (next.shared !== shared || (batch.length + 1) * next.rest > TOKENS_PER_CALL) break;
    batch.push(next);
  }
  return batch;
}
