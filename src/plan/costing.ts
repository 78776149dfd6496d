/**
 * What a tensor costs in each type: bytes exactly, loss = sensitivity × distortion. Everything a plan predicts is made
 * from these, when the plan is made and whenever it is read again.
 */

import { paddedBytes } from "../ggml/file-bytes.ts";
import { isFloatType, type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import { present } from "../present.ts";
import type { PlanTensor, Reason, Step } from "./plan.ts";

/** A tensor before its type is chosen. */
export type TensorChoice = Pick<
  PlanTensor,
  | "name"
  | "class"
  | "layer"
  | "shape"
  | "elements"
  | "sourceType"
  | "sensitivity"
  | "options"
  | "feedback"
  | "importance"
> & {
  readonly eligible: boolean;
  /** The type that it takes, where something knew better than the losses of single tensors. */
  readonly chosen?: TensorType | undefined;
  /** The only types that it may take by the user's list (offered-types.ts); absent: all that were measured. */
  readonly offered?: readonly TensorType[] | undefined;
  /** Why it may take types that are not in the list. */
  readonly fallbackNote?: string | undefined;
};

/** A tensor of a plan without what the plan decided. `eligible`: whether llama-quantize would quantize it. */
export function tensorChoice(tensor: PlanTensor, eligible: boolean): TensorChoice {
  const { type: _type, bytes: _bytes, reason: _reason, note: _note, up: _up, down: _down, ...rest } = tensor;
  const { distortion: _distortion, lossShare: _lossShare, ...facts } = rest;
  return { ...facts, eligible };
}

/** D of a type: what error feedback leaves of the rounding's, where that was measured. */
export function distortionOf(tensor: Pick<TensorChoice, "options" | "feedback">, type: TensorType): number | undefined {
  const rounding = roundingOf(tensor, type);
  return rounding === undefined ? undefined : rounding * (tensor.feedback?.[type] ?? 1);
}

/** D of a type as ggml rounds: measured, or 0 for a float type, whose rounding is far below any quantization; else undefined. */
export function roundingOf(tensor: Pick<TensorChoice, "options">, type: TensorType): number | undefined {
  return tensor.options?.[type] ?? (isFloatType(type) ? 0 : undefined);
}

/** Bytes the data of a tensor adds to a file in this type. */
export function paddedTensorBytes(tensor: Pick<TensorChoice, "shape">, type: TensorType): number {
  return paddedBytes(tensorBytes(type, tensor.shape));
}

/** The types that a tensor may take: those that were measured, or the list it is offered. */
export function typesOf({
  options = {},
  offered,
}: {
  readonly options?: TensorChoice["options"] | undefined;
  readonly offered?: TensorChoice["offered"];
}): readonly TensorType[] {
  return offered ?? (Object.keys(options) as TensorType[]);
}

/** The types it may take, smallest first; at equal bytes the least distortion first. */
export function steps(tensor: TensorChoice): Step[] {
  const sensitivity = tensor.sensitivity ?? 0;
  return typesOf(tensor)
    .map((type) => {
      const distortion = distortionOf(tensor, type) ?? 0;
      return { type, bytes: tensorBytes(type, tensor.shape), loss: sensitivity * distortion, distortion };
    })
    .sort((a, b) => a.bytes - b.bytes || a.distortion - b.distortion)
    .map(({ type, bytes, loss }) => ({ type, bytes, loss }));
}

/** The steps that no smaller or equally large type matches or beats. */
export function frontier(tensor: TensorChoice): Step[] {
  const kept: Step[] = [];
  let best = Number.POSITIVE_INFINITY;
  for (const step of steps(tensor)) {
    const distortion = distortionOf(tensor, step.type) ?? 0;
    if (distortion >= best) continue;
    best = distortion;
    kept.push(step);
  }
  return kept;
}

/** Put a type on a tensor and price it. `lossShare` is left to the whole plan. */
export function priceTensor(
  { eligible: _, chosen: __, offered, fallbackNote: ___, ...tensor }: TensorChoice,
  type: TensorType,
  reason: Reason,
  note?: string,
): PlanTensor {
  const bytes = tensorBytes(type, tensor.shape);
  const distortion = reason === "ineligible" ? undefined : distortionOf(tensor, type);
  const neighbours = reason === "ineligible" ? [] : frontier({ ...tensor, offered, eligible: true });
  const up = neighbours.find((step) => step.bytes > bytes);
  const down = neighbours.findLast((step) => step.bytes < bytes);
  return {
    ...tensor,
    type,
    bytes,
    reason,
    ...present({ note, distortion, up, down }),
  };
}

/** Sensitivity × distortion, or undefined where either is unknown. */
export function lossOf(tensor: Pick<PlanTensor, "sensitivity" | "distortion">): number | undefined {
  if (tensor.sensitivity === undefined || tensor.distortion === undefined) return undefined;
  return tensor.sensitivity * tensor.distortion;
}
