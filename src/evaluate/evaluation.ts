/**
 * The Evaluation document (`prism.evaluation/1`): perplexity and KL divergence of models against a reference on one
 * text; of rerankers, the scores of documents instead or as well. Values that could not be computed are absent.
 */
import type { RerankResult, RerankSetSummary } from "./rerank-result.ts";

export const EVALUATION_SCHEMA = "prism.evaluation/1";

export interface MeanSe {
  readonly value: number;
  readonly se: number;
}

export interface KldSummary {
  /** Nats. */
  readonly mean: number;
  readonly se: number;
  readonly median: number;
  readonly p99: number;
  readonly max: number;
}

export interface ModelEvaluation {
  readonly path: string;
  readonly fileBytes: number;
  readonly bpw: number;
  readonly ppl: MeanSe;
  /** ln(PPL(model) / PPL(reference)). */
  readonly lnPplRatio?: MeanSe;
  readonly kld?: KldSummary;
  /** Percent of tokens whose most likely token is the reference's. */
  readonly sameTop?: number;
  readonly sameTopSe?: number;
  readonly chunks: number;
  readonly tokens: number;
  /** Mean KLD and mean NLL per chunk: what paired comparisons between models are made of. */
  readonly perChunk?: { readonly kld?: readonly number[]; readonly nll: readonly number[] };
  /** Of a causal reranker that was asked to rank too: how it ranks the documents of `rerankSet`. */
  readonly rerank?: RerankResult;
  readonly elapsedMs: number;
}

export interface Evaluation {
  readonly schema: typeof EVALUATION_SCHEMA;
  readonly prismVersion: string;
  readonly createdAt: string;
  readonly engine: {
    readonly kind: string;
    readonly version: string;
    readonly origin: string;
    readonly devices: readonly string[];
  };
  readonly reference?: {
    readonly path: string;
    readonly headerHash: string;
    readonly ppl: MeanSe;
    readonly rerank?: RerankResult;
  };
  readonly rerankSet?: RerankSetSummary;
  readonly text: {
    readonly source: "file" | "sampled";
    readonly path?: string;
    readonly sha256: string;
    readonly seed?: number;
    readonly context: number;
    readonly chunks: number;
    /** The chunks lie evenly over the whole text; absent where they are its first. */
    readonly spread?: true;
    /** Scored tokens. */
    readonly tokens: number;
  };
  readonly models: readonly ModelEvaluation[];
  readonly warnings: readonly string[];
}

export interface RankedModel {
  readonly path: string;
  readonly fileBytes: number;
  readonly bpw: number;
  readonly rerank: RerankResult;
  readonly elapsedMs: number;
}

/** An evaluation by ranking alone: of models whose next token says nothing, and wherever no text was asked for. */
export interface RerankEvaluation
  extends Pick<Evaluation, "schema" | "prismVersion" | "createdAt" | "engine" | "warnings"> {
  readonly reference?: { readonly path: string; readonly headerHash: string; readonly rerank: RerankResult };
  readonly rerankSet: RerankSetSummary;
  readonly models: readonly RankedModel[];
}
