/**
 * What the rules of the stock mixes share, and those of the embeddings, the output and MXFP4_MOE. A rule says which
 * type a preset gives a tensor before row-size fallback; see also attention-rules.ts and feed-forward-rules.ts.
 * All follow `llama_tensor_get_type_impl` (src/llama-quant.cpp, llama.cpp v0.5.0), whose divisions are of integers.
 */
import { fitsRows } from "./fallback.ts";
import type { FileType } from "./file-types.ts";
import type { TensorType } from "./tensor-types.ts";

/** What the rules ask about the model and the run. */
export interface MixContext {
  readonly fileType: FileType;
  /** The type the file type starts from. */
  readonly base: TensorType;
  readonly arch: string;
  /** hparams.n_layer_all: those llama.cpp loads, MTP blocks included. */
  readonly layers: number;
  readonly experts: number;
  /** heads ÷ kvHeads of layer 0 as an integer, 0 without kv heads. */
  readonly gqa: number;
  readonly is70B: boolean;
  readonly hasImatrix: boolean;
  /** Tensors of the file in the `v` category, eligible or not. */
  readonly vTensors: number;
}

/** `position` counts the tensors of the category before this one; in files with experts it is the layer for ffn_*. */
export type Rule = (mix: MixContext, position: number) => TensorType;
export type ByFileType = Readonly<Partial<Record<FileType, TensorType>>>;

export const eighth = (n: number) => Math.trunc(n / 8);

/** The first and last eighth of n, and every third in between. */
export function useMoreBits(i: number, n: number): boolean {
  return i < eighth(n) || i >= eighth(7 * n) || (i - eighth(n)) % 3 === 2;
}

const LOWEST: ReadonlySet<FileType> = new Set(["IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M"] as const);

/** Presets below 3 bpw, which have rules of their own for everything but the embeddings. */
export function isLowest(fileType: FileType): boolean {
  return LOWEST.has(fileType);
}

/** output.weight; the token embeddings too where there is none. */
export function outputType({ fileType, base, arch }: MixContext, rowElements: number): TensorType {
  if (fileType === "MXFP4_MOE" || arch === "falcon" || !fitsRows(base, rowElements)) return "Q8_0";
  if (isLowest(fileType) || fileType === "IQ3_XXS") return "Q5_K";
  return base === "Q8_0" ? "Q8_0" : "Q6_K";
}

const EMBEDDING: ByFileType = {
  IQ1_S: "Q2_K",
  IQ1_M: "Q2_K",
  IQ2_XXS: "Q2_K",
  IQ2_XS: "Q2_K",
  IQ2_S: "IQ3_S",
  IQ2_M: "IQ3_S",
  IQ3_XXS: "IQ3_S",
  TQ1_0: "Q4_K",
  TQ2_0: "Q4_K",
  Q2_0: "Q4_K",
};

/** Token embeddings beside an output.weight. */
export function embeddingType({ fileType, base }: MixContext): TensorType {
  return EMBEDDING[fileType] ?? base;
}

/** MXFP4_MOE: expert tensors (3 dimensions) in MXFP4, the rest in Q8_0. */
export function mxfp4MoeType({ arch }: MixContext, matrices: number, isFeedForward: boolean): TensorType {
  // the MLA projections of bailingmoe3 are three-dimensional too
  return matrices > 1 && (arch !== "bailingmoe3" || isFeedForward) ? "MXFP4" : "Q8_0";
}
