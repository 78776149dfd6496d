/**
 * Where probes are measured: the reference with some tensors degraded by a tensor type, all others as they are. In
 * place, in a loaded copy of the model, where that is possible; else through a quantized file for every probe.
 */
import type { Analysis } from "../analyze/analysis.ts";
import type { Engine, EngineImatrix, EvaluationTokens, LoadedModel, ScoreOptions } from "../engine/engine.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { openFileBench } from "./file-bench.ts";
import { InPlaceRefused, openInPlaceBench } from "./in-place-bench.ts";
import type { ProbeText } from "./probe-text.ts";

/** Type per tensor name; tensors left out stay as they are. */
export type ProbeTypes = ReadonlyMap<string, TensorType>;

export interface ProbeBench {
  /** in-place: weights are degraded, activations are not. file: as llama.cpp would run the quantized file. */
  readonly kind: "in-place" | "file";
  readonly text: ProbeText;
  /** What ScoreOptions.reference takes for these tokens. */
  refer(tokens: EvaluationTokens): Promise<NonNullable<ScoreOptions["reference"]>>;
  /** Call `score` with the degraded model, and put everything back. */
  degrade<Result>(types: ProbeTypes, score: (model: LoadedModel) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

export interface ProbeBenchOptions {
  readonly engine: Engine;
  /** Path of the unquantized model, or the first of its shards. */
  readonly model: string;
  readonly analysis: Analysis;
  readonly imatrix?: EngineImatrix;
  readonly context: number;
  readonly threads: number;
  readonly gpuLayers: number;
  /** A folder for the copy of the model and the reference's logits; the caller removes it. */
  readonly scratch: string;
  /** Text to probe on, given the model to tokenize or sample with. */
  readonly textOf: (model: LoadedModel) => Promise<ProbeText>;
  readonly allowRequantize?: boolean;
  readonly signal?: AbortSignal;
  readonly onNote?: (note: string) => void;
}

/** Open a bench in place if the model, the engine and the platform allow it, else one of files. */
export async function openProbeBench(options: ProbeBenchOptions): Promise<ProbeBench> {
  try {
    return await openInPlaceBench(options);
  } catch (error) {
    if (!(error instanceof InPlaceRefused)) throw error;
    options.onNote?.(`every probe is a quantized file of its own: ${error.message}`);
    return openFileBench(options);
  }
}
