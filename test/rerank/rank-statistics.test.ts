import { describe, expect, it } from "vitest";
import { kendallTau, ndcg, rankOrder } from "../../src/rerank/rank-statistics.ts";
import { compareScores, judgeScores } from "../../src/rerank/rerank-fidelity.ts";
import { scoreOutputs, sigmoid } from "../../src/rerank/rerank-head.ts";

const rows = (...scores: number[][]) => scores.map((row) => row.map((score) => ({ score })));

describe("kendallTau", () => {
  it("is 1 for the same order, -1 for the opposite, and counts swapped pairs between", () => {
    expect(kendallTau([1, 2, 3, 4], [10, 20, 30, 40])).toBe(1);
    expect(kendallTau([1, 2, 3, 4], [4, 3, 2, 1])).toBe(-1);
    expect(kendallTau([1, 2, 3, 4], [1, 3, 2, 4])).toBeCloseTo(4 / 6);
  });
  it("takes ties into account, and is undefined without an order", () => {
    // scipy.stats.kendalltau([1,2,2,3], [1,2,3,4]) = 0.912870929175277
    expect(kendallTau([1, 2, 2, 3], [1, 2, 3, 4])).toBeCloseTo(0.912870929175277, 12);
    expect(kendallTau([1, 1, 1], [1, 2, 3])).toBeUndefined();
    expect(kendallTau([1], [2])).toBeUndefined();
  });
});

describe("ndcg", () => {
  it("is 1 for an ideal order and less for any other", () => {
    expect(ndcg([0.9, 0.5, 0.1], [3, 1, 0])).toBe(1);
    // (7/log2(3) + 1/1) / (7/1 + 1/log2(3))
    expect(ndcg([0.5, 0.9, 0.1], [3, 1, 0])).toBeCloseTo((7 / Math.log2(3) + 1) / (7 + 1 / Math.log2(3)), 12);
  });
  it("gives a constant score no credit for the order of the file", () => {
    expect(ndcg([0.5, 0.5, 0.5], [3, 0, 0])).toBe(ndcg([0.5, 0.5, 0.5], [0, 0, 3]));
    expect(ndcg([0.5, 0.4], [0, 0])).toBeUndefined();
  });
  it("counts ten places", () => {
    const scores = Array.from({ length: 12 }, (_, i) => -i);
    expect(ndcg(scores, [...new Array(10).fill(0), 3, 3])).toBe(0);
  });
});

describe("scoreOutputs", () => {
  it("applies each head's own activation once", () => {
    expect(scoreOutputs("m", "sigmoid", [2], 0)).toEqual({ score: sigmoid(2), logit: 2 });
    expect(scoreOutputs("m", "softmax-in-graph", [0.75, 0.25], 0)).toEqual({ score: 0.75 });
    expect(scoreOutputs("m", "softmax-in-graph", [0.25, 0.75], 1)).toEqual({ score: 0.75 });
    expect(scoreOutputs("m", "yes-no-logits", [3, 1], 0)).toEqual({ score: sigmoid(2), logit: 2 });
    expect(scoreOutputs("m", "softmax", [3, 1], 1)).toEqual({ score: sigmoid(-2), logit: -2 });
  });
  it("stays finite far out", () => {
    expect(scoreOutputs("m", "sigmoid", [-800], 0).score).toBe(0);
    expect(scoreOutputs("m", "sigmoid", [800], 0).score).toBe(1);
  });
  it("refuses what is no score", () => {
    expect(() => scoreOutputs("m.gguf", "sigmoid", [Number.NaN], 0)).toThrow(/m\.gguf: the scores are NaN or infinite/);
    expect(() => scoreOutputs("m", "yes-no-logits", [Number.POSITIVE_INFINITY, 0], 0)).toThrow(/infinite/);
    expect(() => scoreOutputs("m", "softmax-in-graph", [0.9, 0.3], 0)).toThrow(/sum up to 1\.200, expected 1/);
  });
});

describe("the comparison of scores", () => {
  it("measures deltas per query, agreement and places", () => {
    const reference = rows([0.9, 0.5, 0.1], [0.8, 0.2, 0.1]);
    const fidelity = compareScores(rows([0.8, 0.5, 0.2], [0.1, 0.2, 0.1]), reference);
    expect(fidelity.perQuery[0]).toBeCloseTo(0.2 / 3);
    expect(fidelity.maxAbsDelta).toBeCloseTo(0.7);
    expect(fidelity.top1Agreement).toBe(50);
    expect(fidelity.moved).toBe(2);
    expect(rankOrder([0.1, 0.2, 0.1])).toEqual([1, 0, 2]);
  });

  const queries = Array.from({ length: 3 }, () => ({ query: "q", documents: ["a", "b", "c"], relevance: [2, 1, 0] }));
  const judge = (scores: number[], head: "sigmoid" | "yes-no-logits" = "yes-no-logits", reference?: number[]) =>
    judgeScores(
      rows(scores, scores, scores),
      queries,
      head,
      reference === undefined
        ? undefined
        : { scores: rows(reference, reference, reference), spread: Math.max(...reference) - Math.min(...reference) },
    ).flags.map(({ code }) => code);

  it("flags scores that tell nothing apart, that are inverted, or out of range, and no others", () => {
    expect(judge([0.9, 0.5, 0.1])).toEqual([]);
    expect(judge([0.498, 0.488, 0.486])).toEqual(["mushed"]);
    expect(judge([0.1, 0.5, 0.9])).toEqual(["inverted"]);
    expect(judge([1.5, 0.5, 0.1])).toEqual(["out-of-range"]);
    expect(judge([0.73, 0.6, 0.51], "sigmoid")).toEqual(["mushed"]);
    expect(judge([0.73, 0.6, 0.51])).toEqual([]);
    expect(judge([0.55, 0.5, 0.45], "yes-no-logits", [0.9, 0.5, 0.1])).toEqual(["mushed"]);
    expect(judge([0.9, 0.5, 0.1], "yes-no-logits", [0.1, 0.5, 0.9])).toEqual(["inverted"]);
  });
});
