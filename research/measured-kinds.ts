/** A model whose tensors were measured → the density of each kind of tensor in it, which the prior is fitted to. */

import type { MeasuredModel as PriorModel } from "../src/sensitivity/measured-model.ts";
import { type PriorKind, priorKind } from "../src/sensitivity/prior-kind.ts";
import type { MeasuredModel } from "./measured-kld.ts";

/** Sum the tensors of each kind; those without evidence of their own are left out. */
export function measuredKinds({ name, analysis, kld, seen }: MeasuredModel): PriorModel {
  const { facts, model, tensors } = analysis;
  const kinds = new Map<string, { kind: PriorKind; kld: number; elements: number; count: number }>();
  for (const tensor of tensors) {
    if (!seen.has(tensor.name)) continue;
    const kind = priorKind(tensor, facts);
    const entry = kinds.get(kind.name) ?? { kind, kld: 0, elements: 0, count: 0 };
    entry.kld += kld.get(tensor.name) ?? 0;
    entry.elements += tensor.elements;
    entry.count++;
    kinds.set(kind.name, entry);
  }
  return {
    name,
    arch: facts.arch,
    elements: model.elements,
    kinds: [...kinds.values()].map((entry) => ({
      ...entry.kind,
      lnDensity: Math.log(entry.kld / entry.elements),
      elements: Math.round(entry.elements / entry.count),
      tensors: entry.count,
    })),
  };
}
