import { describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { sensitivityFromDensities } from "../../src/sensitivity/density-document.ts";
import { headIsFamiliar, headIsProbed } from "../../src/sensitivity/head-known.ts";
import type { MeasuredModel } from "../../src/sensitivity/measured-model.ts";
import { builtInPrior, sensitivityFromPrior } from "../../src/sensitivity/sensitivity-prior.ts";
import { blendSensitivity } from "../../src/sensitivity/sensitivity-stock.ts";
import { syntheticAnalysis } from "../plan/synthetic-analysis.ts";

const base = syntheticAnalysis();

function analysisOf(arch: string, { tied = false, elements = 4e9 } = {}): Analysis {
  const tensors = tied ? base.tensors.filter(({ name }) => name !== "output.weight") : base.tensors;
  return { ...base, model: { ...base.model, elements }, facts: { ...base.facts, arch, hasOutput: !tied }, tensors };
}

function relative(arch: string, head: string, elements: number): MeasuredModel {
  const kind = { name: head, class: head, role: "output", lnDensity: 0, elements: 1000, tensors: 1 } as const;
  return { name: `${arch} ${elements}`, arch, elements, kinds: [kind] };
}

describe("the head of a family that the prior knows", () => {
  it("is familiar from two models on, of its architecture, kind of head and about its size", () => {
    const two = [relative("mine", "output", 1e9), relative("mine", "output", 9e9)];
    expect(headIsFamiliar(analysisOf("mine"), two)).toBe(true);
    expect(headIsFamiliar(analysisOf("mine"), two.slice(1))).toBe(false);
    expect(headIsFamiliar(analysisOf("other"), two)).toBe(false);
    expect(headIsFamiliar(analysisOf("mine", { tied: true }), two)).toBe(false);
    expect(headIsFamiliar(analysisOf("mine", { elements: 1e8 }), two)).toBe(false);
    const tied = two.map(({ elements }) => relative("mine", "token_embd (tied)", elements));
    expect(headIsFamiliar(analysisOf("mine", { tied: true }), tied)).toBe(true);
  });

  it("is that of qwen35, tied and not, and not that of qwen3 in the prior of the package", () => {
    const { measured = [] } = builtInPrior();
    expect(headIsFamiliar(analysisOf("qwen35"), measured)).toBe(true);
    expect(headIsFamiliar(analysisOf("qwen35", { tied: true }), measured)).toBe(true);
    expect(headIsFamiliar(analysisOf("qwen3", { tied: true }), measured)).toBe(false);
  });

  it("has no guard in a plan by the prior or the blend, unlike one without a relative", () => {
    const off = (analysis: Analysis) => {
      const prior = sensitivityFromPrior(analysis, builtInPrior());
      const plans = [prior, blendSensitivity(analysis, prior)].map((sensitivity) =>
        makePlan({ analysis, sensitivity, budget: { kind: "bpw", value: 4 } }),
      );
      return plans.map(({ guardsOff }) => guardsOff);
    };
    expect(off(analysisOf("qwen35"))).toEqual([["head"], ["head"]]);
    expect(off(analysisOf("llama"))).toEqual([undefined, undefined]);
  });
});

describe("a head that was probed", () => {
  const probes = (...names: string[]) =>
    names.map((group) => ({ group, tensors: [group], type: "Q3_K" as const, kld: 1, se: 0.1, chunks: 8 }));

  it("is known with two more probes, and where it is a tied embedding too", () => {
    const analysis = analysisOf("mine");
    expect(headIsProbed(analysis, probes("output.weight", "blk.0.ffn_up.weight", "blk.0.attn_q.weight"))).toBe(true);
    expect(headIsProbed(analysis, probes("output.weight", "token_embd.weight"))).toBe(false);
    const others = probes("token_embd.weight", "blk.0.ffn_up.weight", "blk.0.attn_q.weight");
    expect(headIsProbed(analysis, others)).toBe(false);
    expect(headIsProbed(analysisOf("mine", { tied: true }), others)).toBe(true);
  });

  it("keeps its guard by a document of one probe, and by one of another model", () => {
    const analysis = analysisOf("mine", { tied: true });
    const densities = Object.fromEntries(analysis.tensors.map(({ class: name }) => [name, 1]));
    const { headerHash } = analysis.model;
    const known = (names: readonly string[], headMeasured = headerHash) =>
      sensitivityFromDensities(analysis, {
        ...{ schema: "prism.sensitivity/1", version: "1", lossUnit: "nats", densities, headMeasured },
        probes: probes(...names),
      }).headKnown;
    const three = ["token_embd.weight", "blk.0.ffn_up.weight", "blk.0.attn_q.weight"];
    expect(known(three)).toBe(true);
    expect(known(three.slice(0, 1))).toBeUndefined();
    expect(known(three, "another")).toBeUndefined();
  });
});
