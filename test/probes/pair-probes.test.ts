import { describe, expect, it } from "vitest";
import { pairProbes } from "../../src/probes/pair-probes.ts";
import { createNormal, createRandom } from "../../src/random.ts";

const CHUNK_SPREAD = 0.5;

/** Probes of known size on chunks that differ much and errors that are small. */
function draw(seed: number, sizes: readonly number[], counts: readonly number[], error = 0.1) {
  const normal = createNormal(createRandom(seed));
  const chunks = Array.from({ length: Math.max(...counts) }, () => CHUNK_SPREAD * normal());
  return sizes.map((size, probe) =>
    Array.from({ length: counts[probe] ?? 0 }, (_, chunk) => ({
      kld: size * Math.exp((chunks[chunk] ?? 0) + error * normal()),
      se: 1e-9,
    })),
  );
}

/** Root mean square of ln KLD against the true sizes, the level taken out. */
function errorOf(klds: readonly number[], sizes: readonly number[]): number {
  const off = klds.map((kld, i) => Math.log(kld) - Math.log(sizes[i] as number));
  const level = off.reduce((sum, value) => sum + value, 0) / off.length;
  return Math.sqrt(off.reduce((sum, value) => sum + (value - level) ** 2, 0) / off.length);
}

describe("probes paired by chunk", () => {
  const sizes = Array.from({ length: 20 }, (_, i) => 1e-3 * 1.3 ** i);
  const counts = sizes.map((_, i) => [1, 2, 4, 8][i % 4] as number);

  it("compare what was measured on different numbers of chunks better than their means do", () => {
    const probes = draw(1, sizes, counts);
    const means = probes.map((perChunk) => perChunk.reduce((sum, { kld }) => sum + kld, 0) / perChunk.length);
    const paired = errorOf(
      pairProbes(probes).map(({ kld }) => kld),
      sizes,
    );
    expect(paired).toBeLessThan(0.15);
    expect(paired).toBeLessThan(0.6 * errorOf(means, sizes));
  });

  it("tell errors that are about right, smaller for more chunks", () => {
    let squares = 0;
    let readings = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const found = pairProbes(draw(seed, sizes, counts, 0.15));
      const level = found.reduce((sum, { kld }, i) => sum + Math.log(kld / (sizes[i] as number)), 0) / found.length;
      for (const [i, { kld, se }] of found.entries()) {
        squares += ((Math.log(kld / (sizes[i] as number)) - level) / (se / kld)) ** 2;
        readings++;
      }
    }
    expect(squares / readings).toBeGreaterThan(0.6);
    expect(squares / readings).toBeLessThan(1.4);
    const [one, , , eight] = pairProbes(draw(1, sizes, counts));
    expect((eight?.se ?? 1) / (eight?.kld ?? 1)).toBeLessThan(0.6 * ((one?.se ?? 0) / (one?.kld ?? 1)));
  });

  it("leave a probe that drowns in noise to its mean, and do not fail on one probe or none", () => {
    const noise = [
      { kld: 1e-6, se: 1e-5 },
      { kld: -2e-6, se: 1e-5 },
    ];
    const [clear] = draw(3, [1e-2], [2]);
    const [, drowned] = pairProbes([clear ?? [], noise]);
    expect(drowned?.kld).toBeCloseTo(-5e-7, 9);
    expect(drowned?.se).toBeGreaterThan(1e-6);
    expect(pairProbes([])).toEqual([]);
    const [alone] = pairProbes([[{ kld: 0.01, se: 1e-4 }]]);
    expect(alone?.kld).toBeCloseTo(0.01, 6);
    expect((alone?.se ?? 0) / 0.01).toBeCloseTo(0.15, 2);
  });
});
