/**
 * Where probes are measured: the reference with some tensors degraded by a tensor type, all others as they are. In
 * place, in a loaded copy of the model, where that is possible; else through a quantized file for every probe.
 */
import type { Analysis } from "../analyze/analysis.ts";
import { type Bench, DEFAULT_LOGITS_LIMIT_BYTES } from "../bench.ts";
import type { EngineImatrix, EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openFileSite } from "./file-site.ts";
import { InPlaceRefused, openInPlaceSite } from "./in-place-site.ts";
import type { Comparison, Meter } from "./meter.ts";
import type { ProbeText } from "./probe-text.ts";

/** Type per tensor name; tensors left out stay as they are. */
export type ProbeTypes = ReadonlyMap<string, TensorType>;

/** What a probe costs, in the time that a chunk takes to decode. */
export interface ProbeCosts {
  /** Chunks it begins with: what a batch holds where a few cost no more than one. */
  readonly first: number;
  /** Besides its chunks, whatever it degrades. */
  readonly each: number;
  /** To degrade all weights and put them back; of a group, its part. */
  readonly whole: number;
}

/** A model in some state, of which a probe degrades more. */
export interface HeldModel {
  readonly text: ProbeText;
  /** What models are compared with on these tokens. */
  refer(tokens: EvaluationTokens): Promise<Comparison>;
  /** Call `score` with the model degraded to these types besides, and put back what it was, also after an error. */
  degrade<Result>(types: ProbeTypes, score: (model: LoadedModel) => Promise<Result>): Promise<Result>;
}

/** What probes are measured on: the model as it is. */
export interface ProbeSite extends HeldModel {
  /** in-place: weights are degraded, activations are not. file: as llama.cpp would run the quantized file. */
  readonly kind: "in-place" | "file";
  readonly costs: ProbeCosts;
  readonly unit: Meter["unit"];
}

export interface OpenSite extends ProbeSite {
  /** Degrade to `base` and hold it while `work` degrades tensors of it further, each only as far as it differs. */
  hold<Result>(base: ProbeTypes, work: (held: HeldModel) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

export interface ProbeSiteRequest {
  readonly analysis: Analysis;
  readonly imatrix?: EngineImatrix | undefined;
  readonly context: number;
  /** A folder for the copy of the model and the reference's logits; the caller removes it. */
  readonly scratch: string;
  /** Text to probe on, given the model to tokenize or sample with. */
  readonly textOf: (model: LoadedModel) => Promise<ProbeText>;
  readonly allowRequantize?: boolean | undefined;
  /** What the site is checked with; by default the first chunk to probe on. */
  readonly checkTokens?: EvaluationTokens | undefined;
  /** Default: the KL divergence. */
  readonly meter?: Meter | undefined;
}

/** Open a site in place if the model, the engine and the platform allow it, else one of files. */
export async function openProbeSite(source: OpenModel, request: ProbeSiteRequest, bench: Bench): Promise<OpenSite> {
  // the reference's logits are of this run's text: they leave with it
  const own = { ...bench, cache: { dir: request.scratch, logitsLimitBytes: DEFAULT_LOGITS_LIMIT_BYTES } };
  try {
    return await openInPlaceSite(source, request, own);
  } catch (error) {
    if (!(error instanceof InPlaceRefused)) throw error;
    bench.progress.note(`every probe is a quantized file of its own: ${error.message}`);
    return openFileSite(source, request, own);
  }
}
