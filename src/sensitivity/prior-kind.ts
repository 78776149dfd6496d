/** What a prior knows a tensor by. */
import type { ModelFacts } from "../ggml/model-facts.ts";
import { type HeadFacts, isHead, type TensorClass, type TensorRole, tensorRole } from "../ggml/tensor-class.ts";

export interface PriorKind {
  /** Class and place: `ffn_up`, `ffn_up in the last layer`. */
  readonly name: string;
  /** The tensor class; a token_embd that is the head as well is `token_embd (tied)`. */
  readonly class: string;
  readonly role: TensorRole;
  /** `first ffn`, `last experts`; absent between the ends. */
  readonly place?: string;
}

/** Say what the prior knows a tensor by. */
export function priorKind(
  tensor: TensorClass & { readonly name: string },
  facts: HeadFacts & Pick<ModelFacts, "layers" | "nextnLayers">,
): PriorKind {
  const { layer } = tensor;
  const inside = classKind(tensor, facts);
  const last = facts.layers - facts.nextnLayers - 1;
  const end = layer === 0 ? "first" : layer === last ? "last" : undefined;
  if (end === undefined) return inside;
  return { ...inside, name: `${inside.class} in the ${end} layer`, place: `${end} ${inside.role}` };
}

/** The same of its whole class, wherever its tensors are. */
export function classKind(
  { name, class: tensorClass, layer }: TensorClass & { readonly name: string },
  facts: HeadFacts & Pick<ModelFacts, "layers" | "nextnLayers">,
): PriorKind {
  const tied = layer === undefined && tensorClass === "token_embd" && isHead(name, facts);
  const known = tied ? "token_embd (tied)" : tensorClass;
  return { name: known, class: known, role: tensorRole(name, facts) };
}
