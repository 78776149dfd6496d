import { describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import type { Sensitivity } from "../../src/sensitivity/sensitivity.ts";
import { DEFAULT_SENSITIVITY, parseSensitivity } from "../../src/sensitivity/sensitivity-modes.ts";
import { priorSensitivity } from "../../src/sensitivity/sensitivity-prior.ts";
import { blendSensitivity, stockSensitivity } from "../../src/sensitivity/sensitivity-stock.ts";
import { syntheticAnalysis } from "../plan/synthetic-analysis.ts";

const ANALYSIS = syntheticAnalysis({ layers: 8 });

function densityOf({ values }: Sensitivity, { tensors }: Analysis = ANALYSIS) {
  return (name: string) =>
    (values.get(`${name}.weight`) ?? Number.NaN) /
    (tensors.find((tensor) => tensor.name === `${name}.weight`)?.elements ?? 0);
}

describe("what the presets imply", () => {
  it("is √2 per bit that they give a tensor more on average", () => {
    const density = densityOf(stockSensitivity(ANALYSIS));
    // an output has Q6_K (6.5625 bits) in all nine; attn_q has 2.625, 3 × 3.4375, 2 × 4.5, 2 × 5.5 and 6.5625
    const query = (2.625 + 3 * 3.4375 + 2 * 4.5 + 2 * 5.5 + 6.5625) / 9;
    expect(density("output") / density("blk.3.attn_q")).toBeCloseTo(2 ** ((6.5625 - query) / 2), 10);
  });

  it("puts attn_v and ffn_down above attn_q, most where the mixes use more bits, and alike what they treat alike", () => {
    const density = densityOf(stockSensitivity(ANALYSIS));
    expect(density("blk.3.attn_v")).toBeGreaterThan(density("blk.3.attn_q"));
    expect(density("blk.0.ffn_down")).toBeGreaterThan(density("blk.4.ffn_down"));
    expect(density("blk.4.ffn_down")).toBeGreaterThanOrEqual(density("blk.4.ffn_up"));
    expect(density("blk.2.ffn_up")).toBe(density("blk.5.ffn_gate"));
  });

  it("has a level of its own: bits beyond the mean of the model", () => {
    const { values } = stockSensitivity(ANALYSIS);
    const eligible = ANALYSIS.tensors.filter(({ eligible }) => eligible);
    const logs = eligible.map(({ name, elements }) => elements * Math.log((values.get(name) ?? 0) / elements));
    expect(logs.reduce((sum, log) => sum + log, 0)).toBeCloseTo(0, 6);
  });

  it("is told for tensors that no rule knows, and for rows that fit no K-quant", () => {
    const extra = { "blk.1.made_up.weight": [256, 256], "blk.1.odd.weight": [288, 64] };
    for (const value of stockSensitivity(syntheticAnalysis({ extra })).values.values()) {
      expect(value).toBeGreaterThan(0);
      expect(value).toBeLessThan(Number.POSITIVE_INFINITY);
    }
  });
});

describe("the blend", () => {
  it("is three parts of the prior and one of the presets, each at a mean ln density of 0", () => {
    const levelOf = (density: (name: string) => number) => {
      const eligible = ANALYSIS.tensors.filter(({ eligible }) => eligible);
      const weights = eligible.reduce((sum, { elements }) => sum + elements, 0);
      const nameOf = (name: string) => name.replace(/\.weight$/, "");
      return Math.exp(eligible.reduce((sum, t) => sum + t.elements * Math.log(density(nameOf(t.name))), 0) / weights);
    };
    const [prior, stock] = [densityOf(priorSensitivity(ANALYSIS)), densityOf(stockSensitivity(ANALYSIS))];
    const blend = densityOf(blendSensitivity(ANALYSIS));
    for (const name of ["output", "token_embd", "blk.0.attn_k", "blk.7.ffn_down"]) {
      expect(blend(name)).toBeCloseTo(0.75 * (prior(name) / levelOf(prior)) + 0.25 * stock(name), 8);
    }
  });

  it("does not starve what a prior takes for nothing", () => {
    const prior = priorSensitivity(ANALYSIS);
    const starving = new Map(prior.values).set("blk.3.attn_q.weight", 1e-9);
    const density = densityOf(blendSensitivity(ANALYSIS, { ...prior, values: starving }));
    expect(density("blk.3.attn_q")).toBeCloseTo(0.25 * densityOf(stockSensitivity(ANALYSIS))("blk.3.attn_q"), 6);
  });

  it("says which prior it holds", () => {
    expect(blendSensitivity(ANALYSIS).version).toContain(priorSensitivity(ANALYSIS).version);
  });
});

describe("a model without a head", () => {
  it("has an embedding that the presets say nothing of, whatever type they give it", () => {
    const analysis = syntheticAnalysis({ tied: true });
    const density = (of: Analysis) => {
      const { values } = stockSensitivity(of);
      const elements = (name: string) => of.tensors.find((tensor) => tensor.name === name)?.elements ?? 1;
      return (name: string) => (values.get(name) ?? 0) / elements(name);
    };
    const tied = density(analysis);
    const embeds = density({ ...analysis, facts: { ...analysis.facts, embeddingPooling: "mean" } });
    const [embedding, matrix] = ["token_embd.weight", "blk.1.ffn_up.weight"] as const;
    // llama-quantize gives a tied head more bits than a matrix; an embedding beside a head gets as many
    expect(tied(embedding) / tied(matrix)).toBeGreaterThan(1.2);
    expect(embeds(embedding) / embeds(matrix)).toBeLessThan(1.05);
  });
});

describe("auto", () => {
  const ofSize = (elements: number): Analysis => ({ ...ANALYSIS, model: { ...ANALYSIS.model, elements } });
  const auto = parseSensitivity(DEFAULT_SENSITIVITY);

  it("takes the blend for models of the sizes the prior was validated on, the presets alone for smaller ones", () => {
    expect(auto(ofSize(0.75e9))).toEqual(blendSensitivity(ofSize(0.75e9)));
    expect(auto(ofSize(1e7))).toEqual(stockSensitivity(ofSize(1e7)));
    const small = ofSize(1e7);
    const embeds = { ...small, facts: { ...small.facts, embeddingPooling: "last" as const } };
    expect(auto(embeds)).toEqual(blendSensitivity(embeds));
  });
});
