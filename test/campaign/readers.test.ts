import { describe, expect, it } from "vitest";
import { attackReaders } from "../../campaign/readers.ts";

describe("hostile input for readers", () => {
  it("is read or refused: no crash, no hang, no leap in memory", async () => {
    const { cases, failures, counts, peakBytes } = await attackReaders({ seed: 7, count: 600 });
    expect(failures).toEqual([]);
    expect(cases).toBe(600);
    expect(Object.values(counts).reduce((a, b) => a + b, 0)).toBe(600);
    // most of it must be past the first check for a reader to be tried
    expect(counts["GGUF: read"]).toBeGreaterThan(0);
    expect(peakBytes).toBeGreaterThan(0);
  });
});

describe("the campaign", () => {
  it.each([
    ["throws", "crash", /TypeError/],
    ["exits", "crash", /the process ended/],
    ["hangs", "hang", /no end after/],
    ["swells", "memory", /bytes more/],
  ] as const)("sees a reader that %s, and goes on", async (sabotage, kind, words) => {
    const { cases, failures } = await attackReaders({
      ...{ seed: 7, count: 4, lanes: 1, only: "text", limitMs: 2500 },
      sabotage,
    });
    expect(failures).toEqual([{ kind, id: "readers 7/0", what: expect.stringMatching(words) }]);
    expect(cases).toBe(4);
  });

  it("makes the same cases from the same seed", async () => {
    const counts = async () => (await attackReaders({ seed: 3, count: 24, lanes: 1 })).counts;
    expect(await counts()).toEqual(await counts());
  });
});
