import type { Item, Option, Problem } from "../../src/allocate/problem.ts";
import { TENSOR_TYPE_NAMES, TENSOR_TYPES, type TensorType } from "../../src/ggml/tensor-types.ts";

/** Numbers in [0, 1), the same for a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Relative squared error of a Gaussian matrix per type, near what ggml's quantizers give. */
export const GAUSSIAN: Readonly<Partial<Record<TensorType, number>>> = {
  Q2_K: 8.8e-2,
  IQ3_S: 2.76e-2,
  Q3_K: 2.28e-2,
  IQ4_XS: 5.88e-3,
  Q4_0: 7.39e-3,
  Q4_K: 5.09e-3,
  Q5_K: 1.3e-3,
  Q6_K: 3.14e-4,
  Q8_0: 2.87e-5,
  F16: 1e-8,
};

/** Few items with few options of small whole bytes: many equal bytes, equal and zero losses, options off the hull. */
export function smallItems(random: () => number, count = 1 + Math.floor(random() * 6)): Item[] {
  const whole = (below: number): number => Math.floor(random() * below);
  const groups = random() < 0.4;
  const scale = random() < 0.2 ? 24 : 1;
  return Array.from({ length: count }, (_, i): Item => {
    const options = TENSOR_TYPE_NAMES.slice(0, 1 + whole(5)).map(
      (type): Option => ({
        type,
        bytes: whole(random() < 0.5 ? 12 : 60),
        loss: random() < 0.1 ? 0 : (1 + whole(20)) * 10 ** (scale * (random() - 0.5)),
      }),
    );
    return { name: `t${i}`, options, ...(groups && random() < 0.6 ? { group: `g${whole(2)}` } : {}) };
  });
}

/** Tensors of a model's sizes: exact ggml bytes, losses of Gaussian weights times random sensitivities. */
export function modelItems(
  elements: readonly number[],
  random: () => number,
  bytesOf: (type: TensorType, elements: number) => number = ggmlBytes,
): Item[] {
  return elements.map((count, i) => {
    const density = Math.exp(3 * (random() - 0.5));
    const options = (Object.entries(GAUSSIAN) as [TensorType, number][]).map(([type, error]) => ({
      type,
      bytes: bytesOf(type, count),
      loss: count * density * error * (0.9 + 0.2 * random()),
    }));
    return { name: `blk.${i}.weight`, options };
  });
}

export function ggmlBytes(type: TensorType, elements: number): number {
  const { blockBytes, blockElements } = TENSOR_TYPES[type];
  return Math.ceil(elements / blockElements) * blockBytes;
}

/** Budgets spread between the smallest choice of everything and the largest. */
export function budgetsOf(items: readonly Item[], count: number): number[] {
  const sum = (pick: (...bytes: number[]) => number): number =>
    items.reduce((total, { options }) => total + pick(...options.map(({ bytes }) => bytes)), 0);
  const least = sum(Math.min);
  const most = sum(Math.max);
  return Array.from({ length: count }, (_, i) => Math.floor(least + ((most - least) * i) / (count - 1)));
}

/** Try everything: the least loss within the budget, or undefined when nothing fits. */
export function bruteForce({ items, budgetBytes }: Problem): { bytes: number; loss: number } | undefined {
  let best: { bytes: number; loss: number } | undefined;
  const inGroups = new Map<string, string>();
  const visit = (index: number, bytes: number, loss: number): void => {
    const item = items[index];
    if (item === undefined) {
      if (bytes <= budgetBytes && (best === undefined || loss < best.loss)) best = { bytes, loss };
      return;
    }
    const { group } = item;
    const taken = group === undefined ? undefined : inGroups.get(group);
    for (const option of item.options) {
      if (taken !== undefined && option.type !== taken) continue;
      if (group !== undefined && taken === undefined) inGroups.set(group, option.type);
      visit(index + 1, bytes + option.bytes, loss + option.loss);
      if (group !== undefined && taken === undefined) inGroups.delete(group);
    }
  };
  visit(0, 0, 0);
  return best;
}
