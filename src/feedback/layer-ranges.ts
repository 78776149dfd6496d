/** Which weights' inputs are collected in one pass over the text: as many layers as fit the memory. Pure. */
import { tensorClass } from "../ggml/tensor-class.ts";

export interface WeightInputs {
  readonly name: string;
  /** Which of a tensor of experts. */
  readonly expert?: number;
  /** Inputs. */
  readonly columns: number;
}

/** Classes that share their inputs in every architecture that has them; others are counted each. */
const SHARED: Readonly<Record<string, string>> = { attn_k: "attn_q", attn_v: "attn_q", ffn_up: "ffn_gate" };

/** Experts whose inputs only they computed have moments of their own. */
const OWN = /down.*exps/;

/** Two triangles of 32-bit sums: of the inputs that are fitted to and of those held out. */
const BYTES_PER_PAIR = Float32Array.BYTES_PER_ELEMENT;

/** The factors that are held at once, while codes are chosen. */
const FACTORS = 2;

/** Bytes that one range takes at most. */
export function rangeBytes(weights: readonly WeightInputs[]): number {
  const widest = Math.max(0, ...inputGroups(weights));
  return momentsBytes(weights) + FACTORS * widest * widest * Float32Array.BYTES_PER_ELEMENT;
}

/** Bytes of its sums, as far as names tell which weights share them. */
export function momentsBytes(weights: readonly WeightInputs[]): number {
  return inputGroups(weights).reduce((sum, columns) => sum + columns * columns * BYTES_PER_PAIR, 0);
}

/** How many inputs those have that are summed apart. */
function inputGroups(weights: readonly WeightInputs[]): number[] {
  const groups = weights.map(({ name, expert, columns }): [string, number] => {
    const { class: own, layer } = tensorClass(name);
    const mine = OWN.test(own) ? expert : undefined;
    return [`${layer} ${SHARED[own] ?? own} ${mine} ${columns}`, columns];
  });
  return [...new Map(groups).values()];
}

/** Layers after layers, what is in none last, in ranges that fit; a layer that does not is a range of its own. */
export function layerRanges<Weight extends WeightInputs>(weights: readonly Weight[], memoryBytes: number): Weight[][] {
  const layers = new Map<number, Weight[]>();
  for (const weight of weights) {
    const layer = tensorClass(weight.name).layer ?? Number.POSITIVE_INFINITY;
    layers.set(layer, [...(layers.get(layer) ?? []), weight]);
  }
  const ranges: Weight[][] = [];
  for (const [, layer] of [...layers].sort(([a], [b]) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && rangeBytes([...last, ...layer]) <= memoryBytes) last.push(...layer);
    else ranges.push([...layer]);
  }
  return ranges;
}
