/** Draws from a seed: every case has a generator of its own, so that it can be made again alone. */
import { createRandom, seedFromName } from "../src/random.ts";

export interface Draw {
  /** Uniform in [0, 1). */
  real(): number;
  /** A whole number below `limit`. */
  below(limit: number): number;
  chance(probability: number): boolean;
  pick<Item>(items: readonly [Item, ...Item[]] | readonly Item[]): Item;
}

/** The generator of the case `index` of a part. */
export function drawFor(part: string, seed: number, index: number): Draw {
  const real = createRandom(seedFromName(`${part} ${index}`, seed));
  const below = (limit: number) => Math.floor(real() * limit);
  return {
    real,
    below,
    chance: (probability) => real() < probability,
    pick: <Item>(items: readonly Item[]) => items[below(items.length)] as Item,
  };
}
