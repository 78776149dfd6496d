/**
 * The one source of randomness: small, seeded, the same on every machine, so that a sample, a probe or a
 * shuffle can be drawn again from the seed that a document carries.
 */

/**
 * Create a generator of uniform numbers in [0, 1) from a 32-bit seed: Mulberry32 (Tommy Ettinger, public domain),
 * period 2^32, enough for choosing rows and permuting tensors.
 */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Derive a seed from a name, so that a tensor's sample does not depend on the order in which tensors are measured:
 * 32-bit FNV-1a over the UTF-16 units, started from the run's seed, with the Murmur3 finaliser.
 */
export function seedFromName(name: string, seed: number): number {
  let hash = (0x811c9dc5 ^ Math.imul(seed, 0x9e3779b1)) >>> 0;
  for (let index = 0; index < name.length; index++) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Create a generator of standard normal numbers from a uniform one (Box-Muller). */
export function createNormal(random: () => number): () => number {
  return () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return radius * Math.cos(2 * Math.PI * random());
  };
}

/** Permute a copy of the items uniformly (Fisher-Yates). */
export function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  const result = items.slice();
  for (let last = result.length - 1; last > 0; last--) {
    const chosen = Math.floor(random() * (last + 1));
    const item = result[last] as Item;
    result[last] = result[chosen] as Item;
    result[chosen] = item;
  }
  return result;
}
