/**
 * What an imatrix has no values for: tensors it never sees (token_embd, MTP blocks, of llama-imatrix the head), and experts or whole
 * dense tensors that no token reached. llama-quantize stores the former unweighted, and weighs all inputs of the latter alike.
 */
import { ineligibleReason } from "../ggml/eligibility.ts";
import { holdsExperts, tensorClass } from "../ggml/tensor-class.ts";
import type { TensorInfo } from "../gguf/model.ts";
import type { Imatrix } from "./imatrix.ts";

export interface ClassCoverage {
  readonly class: string;
  readonly tensors: number;
  /** Tensors of the class without an entry. */
  readonly missing: number;
  /** Experts of the tensors with an entry, of dense ones the tensors; and those of them that no token reached. */
  readonly experts: number;
  readonly unseen: number;
}

/** The classes with a hole, in the order of the model. */
export function findHoles(
  imatrix: Pick<Imatrix, "importance" | "unseen">,
  tensors: readonly Pick<TensorInfo, "name" | "shape" | "type">[],
): ClassCoverage[] {
  const classes = new Map<string, ClassCoverage>();
  for (const tensor of tensors) {
    if (ineligibleReason(tensor) !== undefined) continue;
    const { class: name } = tensorClass(tensor.name);
    const before = classes.get(name) ?? { class: name, tensors: 0, missing: 0, experts: 0, unseen: 0 };
    const found = imatrix.importance.has(tensor.name);
    const experts = holdsExperts(name);
    const unseen = imatrix.unseen.get(tensor.name) ?? 0;
    classes.set(name, {
      class: name,
      tensors: before.tensors + 1,
      missing: before.missing + (found ? 0 : 1),
      experts: before.experts + (found ? (experts ? (tensor.shape[2] ?? 1) : 1) : 0),
      unseen: before.unseen + (experts ? unseen : Math.min(unseen, 1)),
    });
  }
  return [...classes.values()].filter(({ missing, unseen }) => missing > 0 || unseen > 0);
}

/** A hole in words: "token_embd: not in the imatrix". */
export function describeHole(hole: ClassCoverage): string {
  const parts = [];
  if (hole.missing > 0) {
    parts.push(hole.missing === hole.tensors ? "not in the imatrix" : `${hole.missing} of ${hole.tensors} not in it`);
  }
  if (hole.unseen > 0) parts.push(describeUnseen(hole));
  return `${hole.class}: ${parts.join(", ")}`;
}

/** Which part of a class no token reached: "3 of 8 experts saw no token"; a dense tensor has none. */
export function describeUnseen(hole: Pick<ClassCoverage, "class" | "experts" | "unseen">): string {
  return `${hole.unseen} of ${hole.experts} ${holdsExperts(hole.class) ? "experts" : "tensors"} saw no token`;
}
