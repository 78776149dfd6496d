/**
 * When the head is known well enough to need no guard (docs/guards.md): its own damage is what a wrong guess costs most.
 * Both limits are measured: research/head-guard.ts.
 */
import type { Analysis } from "../analyze/analysis.ts";
import { isHead } from "../ggml/tensor-class.ts";
import type { MeasuredModel } from "./measured-model.ts";
import { priorKind } from "./prior-kind.ts";

/** A model of the family is a guess, two are knowledge. */
const LEAST_RELATIVES = 2;
/** Relatives have at most so many times the weights of the model, or it theirs: all that were measured do. */
const RELATIVE_SIZE = 16;
/** The head's probe and two more: alone it tells the level of the model, and not how the head stands to the rest. */
const LEAST_PROBES = 3;

/** Whether models of this architecture, with a head of this kind and of like size, are among those measured. */
export function headIsFamiliar({ facts, model, tensors }: Analysis, measured: readonly MeasuredModel[]): boolean {
  const head = tensors.find(({ name }) => isHead(name, facts));
  if (head === undefined) return false;
  const { class: kind } = priorKind(head, facts);
  const relatives = measured.filter(
    ({ arch, elements, kinds }) =>
      arch === facts.arch &&
      Math.abs(Math.log(elements / model.elements)) <= Math.log(RELATIVE_SIZE) &&
      kinds.some((known) => known.class === kind),
  );
  return relatives.length >= LEAST_RELATIVES;
}

/** Whether the head was degraded alone, and enough else to compare it with. */
export function headIsProbed(
  { facts, tensors }: Pick<Analysis, "facts" | "tensors">,
  probes: readonly { readonly tensors: readonly string[] }[],
): boolean {
  const head = tensors.find(({ name }) => isHead(name, facts))?.name;
  return probes.length >= LEAST_PROBES && probes.some(({ tensors: own }) => own.length === 1 && own[0] === head);
}
