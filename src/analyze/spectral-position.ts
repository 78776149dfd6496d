/**
 * Spectral position prior: where a layer stands in the network, measured in spectral log-gain instead of layers.
 * gₗ = ln(1 + ρₗ), ρₗ = mean over the tensors that write to the residual stream of σ₁/median σ₁ of their class;
 * uₗ = share of Σg before the middle of layer l; the prior is the bidirectional product 1 − 4u(1−u) = (1−2u)².
 */
import { median } from "./order-statistics.ts";

export interface ResidualWriter {
  readonly class: string;
  readonly layer: number;
  readonly sigmaMax: number;
}

/** Classes whose output is added to the residual stream. */
const RESIDUAL_WRITERS: ReadonlySet<string> = new Set([
  "attn_output",
  "ffn_down",
  "ffn_down_exps",
  "ffn_down_shexp",
  "ssm_out",
]);

/** Both ends of the network: u = 0 and u = 1. */
const ENDS: ReadonlySet<string> = new Set(["token_embd", "output"]);

export function writesResidual(tensorClass: string): boolean {
  return RESIDUAL_WRITERS.has(tensorClass);
}

/**
 * Compute the prior of each layer, 0 mid-network to nearly 1 at the ends. Tensors that don't write to the residual
 * stream are left out; a layer without any counts as an average one.
 */
export function spectralPositions(tensors: readonly ResidualWriter[], layers: number): number[] {
  const writers = tensors.filter(({ class: name, sigmaMax }) => writesResidual(name) && sigmaMax > 0);
  const ratios = Array.from({ length: layers }, (): number[] => []);
  for (const name of new Set(writers.map((writer) => writer.class))) {
    const members = writers.filter((writer) => writer.class === name);
    const typical = median(members.map((writer) => writer.sigmaMax));
    for (const { layer, sigmaMax } of members) ratios[layer]?.push(sigmaMax / typical);
  }
  const gains = ratios.map((own) =>
    Math.log1p(own.length === 0 ? 1 : own.reduce((sum, ratio) => sum + ratio, 0) / own.length),
  );
  const total = gains.reduce((sum, gain) => sum + gain, 0);
  let before = 0;
  return gains.map((gain) => {
    const position = (before + gain / 2) / total;
    before += gain;
    return (1 - 2 * position) ** 2;
  });
}

/** Look up the prior of a tensor: that of its layer, 1 for token_embd and output, undefined for others outside. */
export function spectralPositionOf(
  tensor: { readonly class: string; readonly layer?: number },
  positions: readonly number[],
): number | undefined {
  if (tensor.layer !== undefined) return positions[tensor.layer];
  return ENDS.has(tensor.class) ? 1 : undefined;
}
