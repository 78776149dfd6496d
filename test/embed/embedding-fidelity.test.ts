import { describe, expect, it } from "vitest";
import { compareVectors, retrievalGain } from "../../src/embed/embedding-fidelity.ts";
import { joinDocuments } from "../../src/embed/retrieval-set.ts";
import { drift } from "../../src/evaluate/drift.ts";

/** On the unit circle, by degrees. */
const at = (degrees: number) =>
  Float32Array.of(Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180));

describe("drift", () => {
  it("is 1 − cosine", () => {
    expect(drift(at(0), at(60))).toBeCloseTo(0.5, 6);
    expect(drift(at(0), at(180))).toBeCloseTo(2, 6);
  });

  it("is 0 of the same vector, and keeps its digits where both are close", () => {
    const own = Float32Array.from({ length: 384 }, (_, i) => Math.sin(i) / 13.8);
    expect(drift(own, own)).toBe(0);
    // 1 − cos(1e-4 rad) = 5e-9, below the rounding of a float
    const degrees = (1e-4 * 180) / Math.PI;
    expect(drift(at(45), at(45 + degrees)) / 5e-9).toBeCloseTo(1, 2);
  });
});

describe("vectors against the reference's", () => {
  const documents = [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 220];
  const reference = { queries: [at(0)], documents: documents.map(at) };

  it("of the reference itself are the same, and find the same", () => {
    const { drift: own, ...rest } = compareVectors(reference, reference);
    expect(own).toEqual({ value: 0, se: 0 });
    expect(rest).toMatchObject({ worstDrift: 0, overlap10: 100, top1Agreement: 100 });
    expect(rest.perText).toEqual(new Array(13).fill(0));
  });

  it("say what moved, what is no longer found, and which is found first", () => {
    // the query's nearest goes to the other side
    const moved = { queries: reference.queries, documents: [at(180), ...reference.documents.slice(1)] };
    const found = compareVectors(moved, reference);
    expect(found.worstDrift).toBeCloseTo(2, 6);
    expect(found.drift.value).toBeCloseTo(2 / 13, 6);
    expect(found).toMatchObject({ overlap10: 90, top1Agreement: 0 });
    expect(found.perText.map((value) => value > 1)).toEqual([false, true, ...new Array(11).fill(false)]);
  });

  it("are graded among the documents of all queries", () => {
    const set = joinDocuments([
      { query: "a", documents: ["x", "y"], relevance: [0, 3] },
      { query: "b", documents: ["y", "z"], relevance: [0, 1] },
      { query: "c", documents: ["x"] },
    ]);
    expect(set.documents).toEqual(["x", "y", "z"]);
    expect(set.queries.map(({ relevance }) => relevance)).toEqual([[0, 3, 0], [0, 0, 1], undefined]);
    const vectors = { queries: [at(0), at(0), at(0)], documents: [at(90), at(10), at(30)] };
    // y is first for both: of b it takes the place of z
    const source = { sha256: "", queries: [] };
    expect(retrievalGain(vectors, { ...set, source })?.value).toBeCloseTo((1 + 1 / Math.log2(3)) / 2, 6);
    const ungraded = joinDocuments([{ query: "c", documents: ["x"] }]);
    expect(retrievalGain(vectors, { ...ungraded, source })).toBeUndefined();
  });
});
