/** A measured model → the density of each kind of tensor in it, which the prior is fitted to. */

import { type PriorKind, priorKind } from "../src/sensitivity/sensitivity-prior.ts";
import type { MeasuredModel } from "./measured-kld.ts";
import type { MeasuredKind } from "./prior-fit.ts";

/** Sum the tensors of each kind; those without evidence of their own are left out. */
export function measuredKinds({ name, analysis, kld, seen }: MeasuredModel): MeasuredKind[] {
  const { facts, tensors } = analysis;
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
  return [...kinds.values()].map((entry) => ({
    model: name,
    arch: facts.arch,
    kind: entry.kind,
    density: entry.kld / entry.elements,
    elements: entry.elements / entry.count,
  }));
}
