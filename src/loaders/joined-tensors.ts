/**
 * Tensors that a file has in one piece or in several (create_tensor_qkv and create_tensor_gate_up_exps of
 * src/llama-model.cpp).
 */
import type { Scope } from "./expression.ts";
import type { Statement } from "./loader-table.ts";

/** Flags of a tensor, as in the tables. */
export const TENSOR_FLAGS = { OPTIONAL: 1, AGAIN: 2, UNUSED: 4, RESHAPED: 8 } as const;

/** Asks for a tensor; whether it is there. */
type Ask = (name: string, shape: readonly number[], terms: string, flags: number) => boolean;

type Joined = Extract<Statement, { do: "qkv" | "gate_up_exps" }>;

/** Of MTP layers, which are not used, all forms are asked for, and none must be there. */
export function askJoined({ do: kind, layer, dims, flags }: Joined, scope: Scope, ask: Ask): void {
  const block = String(layer.evaluate(scope));
  const sizes = dims.map((dim) => ({ width: Number(dim.evaluate(scope)), terms: dim.text }));
  const flag = Number(flags.evaluate(scope));
  const isUnused = (flag & TENSOR_FLAGS.UNUSED) !== 0;
  const optional = isUnused ? TENSOR_FLAGS.OPTIONAL | TENSOR_FLAGS.UNUSED : TENSOR_FLAGS.OPTIONAL;
  const parts = { block, flag: isUnused ? optional : flag, optional, isUnused, ask };
  if (kind === "qkv") askQkv(sizes, parts);
  else askGateUp(sizes, parts);
}

interface Size {
  readonly width: number;
  readonly terms: string;
}

interface Parts {
  readonly block: string;
  readonly flag: number;
  readonly optional: number;
  readonly isUnused: boolean;
  readonly ask: Ask;
}

const NONE: Size = { width: 0, terms: "" };

function askQkv([inputs = NONE, ...outputs]: readonly Size[], { block, flag, optional, isUnused, ask }: Parts): void {
  const sum = outputs.reduce((total, { width }) => total + width, 0);
  const sumTerms = outputs.map(({ terms }) => terms).join(" + ");
  const fused = ask(`${block}.attn_qkv.weight`, [inputs.width, sum], `${inputs.terms}, ${sumTerms}`, optional);
  const fusedBias = (fused || isUnused) && ask(`${block}.attn_qkv.bias`, [sum], sumTerms, optional);
  for (const [index, part] of ["q", "k", "v"].entries()) {
    const { width, terms } = outputs[index] ?? NONE;
    if (!fused || isUnused) {
      ask(`${block}.attn_${part}.weight`, [inputs.width, width], `${inputs.terms}, ${terms}`, flag);
    }
    if (!fusedBias || isUnused) ask(`${block}.attn_${part}.bias`, [width], terms, optional);
  }
}

function askGateUp(
  [inputs = NONE, hidden = NONE, experts = NONE]: readonly Size[],
  { block, flag, optional, isUnused, ask }: Parts,
): void {
  const shape = (width: number) => [inputs.width, width, experts.width];
  const terms = (width: string) => `${inputs.terms}, ${width}, ${experts.terms}`;
  const name = `${block}.ffn_gate_up_exps.weight`;
  const fused = ask(name, shape(2 * hidden.width), terms(`2 * (${hidden.terms})`), optional);
  if (fused && !isUnused) return;
  for (const part of ["gate", "up"]) {
    ask(`${block}.ffn_${part}_exps.weight`, shape(hidden.width), terms(hidden.terms), flag);
  }
}
