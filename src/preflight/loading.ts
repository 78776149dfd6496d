/** A model's header against the loader table of its architecture: what llama.cpp would miss, refuse or not know. */

import { type HeaderSubject, headerOf } from "../loaders/header-of.ts";
import type { KeyFault } from "../loaders/key-faults.ts";
import { type AskedTensor, runLoader } from "../loaders/run-loader.ts";

export interface MisshapenTensor extends AskedTensor {
  readonly got: readonly number[];
}

export interface Loading {
  readonly keys: readonly KeyFault[];
  /** Why a value ends the load. */
  readonly refusal?: string;
  readonly missing: readonly string[];
  /** Names that the architecture does not know. */
  readonly extra: readonly string[];
  readonly misshapen: readonly MisshapenTensor[];
}

const DIMENSIONS = [0, 1, 2, 3] as const;

/** Check; undefined for an architecture that llama.cpp does not load. */
export function checkLoading(subject: HeaderSubject): Loading | undefined {
  const shapes = new Map(subject.tensors.map(({ name, shape }) => [name, shape]));
  const report = runLoader(headerOf(subject, shapes));
  if (report === undefined) return undefined;
  const { keys, refusal, tensors, complete } = report;
  const missing = tensors.filter(({ name, optional }) => !optional && !shapes.has(name)).map(({ name }) => name);
  const misshapen = tensors.flatMap((asked) => {
    const got = shapes.get(asked.name);
    return got === undefined || fits(asked, got) ? [] : [{ ...asked, got }];
  });
  const known = new Set(tensors.map(({ name }) => name));
  const extra = complete ? [...shapes.keys()].filter((name) => !known.has(name) && !isScale(name, known)) : [];
  return { keys, ...(refusal !== undefined && { refusal }), missing: [...new Set(missing)], extra, misshapen };
}

function fits({ shape, reshaped }: AskedTensor, got: readonly number[]): boolean {
  if (reshaped) return product(shape) === product(got);
  return DIMENSIONS.every((dimension) => (shape[dimension] ?? 1) === (got[dimension] ?? 1));
}

function product(shape: readonly number[]): number {
  return shape.reduce((total, width) => total * width, 1);
}

/** Quantized weights may have a scale beside them (load_tensors of src/llama-model.cpp). */
const SCALED =
  /^(?:blk\.\d+\.(?:attn_(?:q|k|v|output|qkv|gate)|ffn_(?:gate|down|up)(?:_shexp|_exps)?|ssm_(?:in|out|alpha|beta)|nextn\.(?:eh_proj|shared_head_head))|output)\.(?:input_)?scale$/;

function isScale(name: string, known: ReadonlySet<string>): boolean {
  return SCALED.test(name) && known.has(name.replace(/\.(input_)?scale$/, ".weight"));
}
