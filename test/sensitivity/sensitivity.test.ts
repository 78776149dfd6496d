import { describe, expect, it } from "vitest";
import type { Analysis, Metrics, TensorAnalysis } from "../../src/analyze/analysis.ts";
import { summarizeClasses } from "../../src/analyze/class-summary.ts";
import { METRIC_TABLE } from "../../src/analyze/metric-table.ts";
import { FormatError, UsageError } from "../../src/errors.ts";
import { parseDensities, sensitivityFromDensities } from "../../src/sensitivity/density-document.ts";
import { rankNormalScores } from "../../src/sensitivity/rank-normal.ts";
import {
  compositeScores,
  importanceScale,
  prismSensitivity,
  type Sensitivity,
  uniformSensitivity,
} from "../../src/sensitivity/sensitivity.ts";
import { parseSensitivity } from "../../src/sensitivity/sensitivity-modes.ts";
import { shuffleSensitivity } from "../../src/sensitivity/shuffle.ts";
import { metricsAt } from "../analyze/made-up-metrics.ts";

function tensor(tensorClass: string, layer: number, elements: number, metrics: Metrics): TensorAnalysis {
  return {
    name: `blk.${layer}.${tensorClass}.weight`,
    class: tensorClass,
    layer,
    shape: [32, elements / 32],
    elements,
    sourceType: "F16",
    eligible: true,
    metrics,
  };
}

/** Three classes of two layers; every metric orders them attn_q < attn_v < ffn_down. */
const TENSORS: readonly TensorAnalysis[] = [
  tensor("attn_q", 0, 1024, metricsAt(0.01)),
  tensor("attn_q", 1, 1024, metricsAt(0.03)),
  tensor("attn_v", 0, 512, metricsAt(0.04)),
  tensor("attn_v", 1, 512, metricsAt(0.06)),
  tensor("ffn_down", 0, 4096, metricsAt(0.07)),
  tensor("ffn_down", 1, 2048, metricsAt(0.1)),
  { name: "output_norm.weight", class: "output_norm", shape: [32], elements: 32, sourceType: "F32", eligible: false },
];

function analysisOf(tensors: readonly TensorAnalysis[]): Analysis {
  // The sensitivities read nothing but the tensors, and which model it is, of which architecture.
  return { tensors, facts: { arch: "llama", layers: 2 }, model: { headerHash: "ab" } } as unknown as Analysis;
}

const ANALYSIS = analysisOf(TENSORS);

function densities({ values }: Sensitivity): number[] {
  return TENSORS.filter((t) => t.eligible).map((t) => (values.get(t.name) ?? Number.NaN) / t.elements);
}

describe("importanceScale", () => {
  const measured = {
    ...tensor("ffn_down", 0, 4096, metricsAt(0)),
    distortion: { Q4_K: { value: 1.018e-3, se: 1e-5 } },
  };

  it("weighs a tensor whose weighted distortion is small as if it were not", () => {
    expect(importanceScale({ ...measured, importance: "used" })).toBeCloseTo(5, 10);
  });

  it.each([undefined, "missing", "mismatch"] as const)("leaves a tensor alone whose importance is %s", (importance) => {
    expect(importanceScale(importance === undefined ? measured : { ...measured, importance })).toBe(1);
  });

  it("leaves a tensor alone that can't be Q4_K, or has no power", () => {
    expect(importanceScale({ ...measured, importance: "used", distortion: {} })).toBe(1);
    expect(importanceScale({ ...measured, importance: "used", distortion: { Q4_K: { value: 0, se: 0 } } })).toBe(1);
  });

  it("is in every sensitivity that was not measured on the model", () => {
    const model = analysisOf([
      { ...measured, importance: "used" },
      { ...measured, name: "blk.1.ffn_down.weight", layer: 1, importance: "missing" },
    ]);
    for (const mode of ["uniform", "prior", "prism"]) {
      const { values } = parseSensitivity(mode)(model);
      const [used = 0, missing = 0] = [values.get("blk.0.ffn_down.weight"), values.get("blk.1.ffn_down.weight")];
      expect(used / missing).toBeCloseTo(5, 10);
    }
  });
});

describe("class summary", () => {
  it("averages metrics by elements and leaves ineligible tensors out", () => {
    const summaries = summarizeClasses(TENSORS);
    expect(summaries.map((summary) => [summary.class, summary.tensors, summary.elements])).toEqual([
      ["attn_q", 2, 2048],
      ["attn_v", 2, 1024],
      ["ffn_down", 2, 6144],
    ]);
    expect(summaries[2]?.metrics.imbalance).toBeCloseTo((4096 * 0.07 + 2048 * 0.1) / 6144, 12);
    expect(summaries[2]?.metrics.osqe3).toBeCloseTo(0.03 + (4096 * 0.07 + 2048 * 0.1) / 6144, 12);
  });

  it("averages a metric over the tensors that have it", () => {
    const [summary] = summarizeClasses([tensor("a", 0, 64, { fragility: 2 }), tensor("a", 1, 640, {})]);
    expect(summary?.metrics).toEqual({ fragility: 2 });
  });
});

describe("rank-normal scores", () => {
  it("are the normal quantiles of (rank − ½)/n", () => {
    expect(rankNormalScores([7])).toEqual([0]);
    const [low, middle, high] = rankNormalScores([-5, 0, 1e9]);
    expect(middle).toBeCloseTo(0, 12);
    // Φ⁻¹(5/6)
    expect(high).toBeCloseTo(0.967421566, 8);
    expect(low).toBeCloseTo(-0.967421566, 8);
  });

  it("share the mean rank of values that differ in the last bits only", () => {
    expect(rankNormalScores([0.1 + 0.2, 0.3])).toEqual([0, 0]);
  });

  it("are clipped at 3", () => {
    const scores = rankNormalScores(Array.from({ length: 1000 }, (_, index) => index));
    expect(scores[999]).toBe(3);
    expect(scores[0]).toBe(-3);
  });
});

describe("sensitivity", () => {
  it("uniform is the number of elements of each eligible tensor", () => {
    const { values, lossUnit } = uniformSensitivity(ANALYSIS);
    expect(values.size).toBe(6);
    expect(values.get("blk.0.ffn_down.weight")).toBe(4096);
    expect(lossUnit).toBe("relative");
  });

  it("prism is elements × exp(0.7·S) with the signed mean of the scores of all seven metrics", () => {
    const z = 0.967421566;
    const scores = compositeScores(TENSORS);
    expect(scores.get("attn_q")).toBeCloseTo((-5 * z) / 7, 8);
    expect(scores.get("attn_v")).toBeCloseTo(0, 12);
    expect(scores.get("ffn_down")).toBeCloseTo((5 * z) / 7, 8);
    const { values } = prismSensitivity(ANALYSIS);
    expect(values.get("blk.1.ffn_down.weight")).toBeCloseTo(2048 * Math.exp((0.7 * 5 * z) / 7), 4);
  });

  it.each(METRIC_TABLE)("prism follows a change of $name alone, against it for the spectrum's tail", ({ name }) => {
    const change = { [name]: metricsAt(9)[name] };
    const direction = name === "alphaHill" ? -1 : 1;
    const changed = TENSORS.map((t) => (t.class === "attn_q" ? { ...t, metrics: { ...t.metrics, ...change } } : t));
    const before = compositeScores(TENSORS).get("attn_q") ?? Number.NaN;
    const after = compositeScores(changed).get("attn_q") ?? Number.NaN;
    expect(direction * (after - before)).toBeGreaterThan(0.1);
  });

  it("prism leaves an absent metric out of the mean and gives 0 to a class without metrics", () => {
    const { metrics: _, ...bare } = tensor("bare", 0, 64, {});
    const some = [tensor("a", 0, 64, { fragility: 1 }), tensor("b", 0, 64, { fragility: 2, spectralPosition: 1 })];
    const scores = compositeScores([...some, bare]);
    expect(scores.get("bare")).toBe(0);
    // Two classes have fragility: ±Φ⁻¹(¾); spectral position has one, so 0.
    expect(scores.get("a")).toBeCloseTo(-0.67448975, 7);
    expect(scores.get("b")).toBeCloseTo(0.67448975 / 2, 7);
  });

  it("modes are found by name, and an unknown one is a usage error that lists them", () => {
    expect(parseSensitivity("uniform")(ANALYSIS).mode).toBe("uniform");
    expect(parseSensitivity("prism")(ANALYSIS).mode).toBe("prism");
    expect(() => parseSensitivity("constructor")).toThrow(UsageError);
    expect(() => parseSensitivity("magic")).toThrow(/auto, uniform, stock, prior, blend, prism/);
  });
});

describe("densities from a file", () => {
  const document = {
    schema: "prism.sensitivity/1",
    version: "fit-3",
    lossUnit: "nats",
    densities: { attn_q: 1e-6, attn_v: 7e-6, ffn_down: 4e-6, "blk.1.attn_v.weight": 9e-6 },
  };

  it("weigh by name before class, in the unit of the file", () => {
    const sensitivity = sensitivityFromDensities(ANALYSIS, parseDensities("d.json", JSON.stringify(document)));
    expect(sensitivity).toMatchObject({ mode: "densities", version: "fit-3", lossUnit: "nats" });
    expect(sensitivity.values.get("blk.0.attn_v.weight")).toBeCloseTo(512 * 7e-6, 12);
    expect(sensitivity.values.get("blk.1.attn_v.weight")).toBeCloseTo(512 * 9e-6, 12);
  });

  it.each([
    ["no JSON", "{", /cut off at byte 1,/],
    ["another schema", JSON.stringify({ ...document, schema: "prism.plan/1" }), /prism.sensitivity\/1/],
    ["an unknown unit", JSON.stringify({ ...document, lossUnit: "bits" }), /lossUnit/],
    [
      "a negative density",
      JSON.stringify({ ...document, densities: { attn_q: -1 } }),
      /densities\.attn_q: expected a number above 0, got -1/,
    ],
    [
      "densities in a list",
      JSON.stringify({ ...document, densities: [1] }),
      /densities: expected an object, got a list/,
    ],
    ["null", "null", /schema/],
  ])("refuse %s", (_, text, message) => {
    expect(() => parseDensities("d.json", text)).toThrow(FormatError);
    expect(() => parseDensities("d.json", text)).toThrow(message);
  });

  it("must cover every eligible tensor", () => {
    const { ffn_down: _, ...fewer } = document.densities;
    const parsed = parseDensities("d.json", JSON.stringify({ ...document, densities: fewer }));
    expect(() => sensitivityFromDensities(ANALYSIS, parsed)).toThrow(/blk\.0\.ffn_down\.weight or its class ffn_down/);
  });
});

describe("shuffle", () => {
  it("permutes the densities among tensors, the same for the same seed", () => {
    const base = prismSensitivity(ANALYSIS);
    const shuffles = [1, 2, 3, 4, 5].map((seed) => densities(shuffleSensitivity(ANALYSIS, base, seed)));
    for (const shuffle of shuffles) {
      const ascending = (values: number[]) => values.toSorted((a, b) => a - b);
      for (const [index, value] of ascending(shuffle).entries()) {
        expect(value).toBeCloseTo(ascending(densities(base))[index] ?? Number.NaN, 10);
      }
    }
    expect(new Set(shuffles.map(String)).size).toBeGreaterThan(2);
    expect(densities(shuffleSensitivity(ANALYSIS, base, 3))).toEqual(shuffles[2]);
  });

  it("draws log-normal densities of log-sd 0.7 where all are equal", () => {
    const many = analysisOf(Array.from({ length: 2000 }, (_, layer) => tensor("attn_q", layer, 64, {})));
    const { values } = shuffleSensitivity(many, uniformSensitivity(many), 5);
    const logs = Array.from(values.values(), (value) => Math.log(value / 64));
    const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
    const sd = Math.sqrt(logs.reduce((sum, value) => sum + (value - mean) ** 2, 0) / logs.length);
    expect(mean).toBeCloseTo(0, 1);
    expect(sd).toBeCloseTo(0.7, 1);
    expect(shuffleSensitivity(many, uniformSensitivity(many), 5).values).toEqual(values);
    expect(shuffleSensitivity(many, uniformSensitivity(many), 6).values).not.toEqual(values);
  });
});
