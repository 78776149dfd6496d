import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { FormatError } from "../../src/errors.ts";
import { fitPrior } from "../../src/sensitivity/fit-prior.ts";
import { priorKind } from "../../src/sensitivity/prior-kind.ts";
import { type Sensitivity, uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { parseSensitivity, parseSensitivityFile } from "../../src/sensitivity/sensitivity-modes.ts";
import { type Prior, parsePrior, priorSensitivity } from "../../src/sensitivity/sensitivity-prior.ts";
import { type Synthetic, syntheticAnalysis } from "../plan/synthetic-analysis.ts";

const PATH = new URL("../../plans/sensitivity-prior.json", import.meta.url);
const TEXT = readFileSync(PATH, "utf8");

function densities(of: (analysis: Analysis) => Sensitivity, options: Synthetic = {}, arch = "llama") {
  const base = syntheticAnalysis(options);
  const analysis = { ...base, facts: { ...base.facts, arch } };
  const { values } = of(analysis);
  return (name: string) =>
    (values.get(`${name}.weight`) ?? Number.NaN) /
    (analysis.tensors.find((tensor) => tensor.name === `${name}.weight`)?.elements ?? 0);
}

function priorOf(changes: Partial<Prior>): string {
  const empty = { sizeExponent: 0, classes: {}, roles: {}, places: {}, architectures: {} };
  return JSON.stringify({ schema: "prism.prior/1", version: "test", ...empty, ...changes });
}

describe("the fitted prior", () => {
  it("names whose measurements it comes from, and their license", () => {
    const { credit, source } = parsePrior("prior", TEXT);
    expect(credit).toMatch(/Thireus.*contributors.*GGUF Tool Suite.*MIT/);
    expect(source?.models.length).toBeGreaterThan(10);
  });

  it("is what its own measurements give", () => {
    const { measured = [], ...prior } = parsePrior("prior", TEXT);
    const fit = fitPrior(measured);
    expect(fit.sizeExponent).toBeCloseTo(prior.sizeExponent, 2);
    for (const table of ["classes", "roles", "places"] as const) {
      expect(Object.keys(fit[table])).toEqual(Object.keys(prior[table]));
      for (const [name, effect] of Object.entries(fit[table])) expect(prior[table][name]).toBeCloseTo(effect, 2);
    }
  });

  it("knows no class or architecture by what every object has", () => {
    const analysis = syntheticAnalysis({
      extra: {
        "constructor.weight": [256, 256],
        "blk.0.toString.weight": [256, 256],
        "blk.1.__proto__.weight": [256, 256],
      },
    });
    for (const arch of ["constructor", "__proto__"]) {
      const { values } = priorSensitivity({ ...analysis, facts: { ...analysis.facts, arch } });
      for (const value of values.values()) expect(Number.isFinite(value) && value > 0).toBe(true);
    }
  });

  it("gives every eligible tensor of an architecture nobody measured a finite sensitivity above 0", () => {
    const analysis = syntheticAnalysis({ extra: { "blk.1.made_up.weight": [256, 256] } });
    const { values, lossUnit } = priorSensitivity(analysis);
    expect([...values.keys()]).toEqual([...uniformSensitivity(analysis).values.keys()]);
    for (const value of values.values()) expect(value).toBeGreaterThan(0);
    expect(Math.max(...values.values())).toBeLessThan(Number.POSITIVE_INFINITY);
    expect(lossUnit).toBe("relative");
  });

  it("puts a head above an embedding, attn_v above attn_q, and routed experts below the rest of their layer", () => {
    const density = densities(priorSensitivity, { extra: { "blk.1.ffn_up_exps.weight": [256, 768, 8] } });
    expect(density("output")).toBeGreaterThan(density("token_embd"));
    expect(density("blk.1.attn_v")).toBeGreaterThan(density("blk.1.attn_q"));
    expect(density("blk.1.ffn_up_exps")).toBeLessThan(density("blk.1.ffn_up"));
  });

  it("is found by name and read from a file", () => {
    const analysis = syntheticAnalysis();
    const { values } = parseSensitivity("prior")(analysis);
    expect(parseSensitivityFile("mine.json", TEXT)(analysis).values).toEqual(values);
  });
});

describe("a prior's density", () => {
  const density = (changes: Partial<Prior>, options: Synthetic = {}, arch?: string) =>
    densities(parseSensitivityFile("prior.json", priorOf(changes)), options, arch);

  it("falls with the size of a tensor by the exponent", () => {
    const of = density({ sizeExponent: 0.5 });
    expect(of("blk.1.attn_q") / of("blk.1.ffn_up")).toBeCloseTo(Math.sqrt(3), 12);
  });

  it("takes the class, else the role, else nothing", () => {
    const of = density(
      { classes: { attn_q: 1 }, roles: { attention: 2 } },
      { extra: { "blk.1.made_up.weight": [256, 256] } },
    );
    expect(Math.log(of("blk.1.attn_q"))).toBeCloseTo(1, 12);
    expect(Math.log(of("blk.1.attn_k"))).toBeCloseTo(2, 12);
    expect(Math.log(of("blk.1.made_up"))).toBeCloseTo(0, 12);
  });

  it("adds the place at the ends of the trunk, and what its own architecture deviates by", () => {
    const changes = { places: { "last ffn": 1 }, architectures: { mine: { "ffn_up in the last layer": 0.5 } } };
    const trunk = { layers: 5, nextnLayers: 1 };
    expect(Math.log(density(changes, trunk)("blk.3.ffn_up"))).toBeCloseTo(1, 12);
    expect(Math.log(density(changes, trunk)("blk.2.ffn_up"))).toBeCloseTo(0, 12);
    expect(Math.log(density(changes, trunk, "mine")("blk.3.ffn_up"))).toBeCloseTo(1.5, 12);
  });

  it("knows an embedding that is the head as well by another name", () => {
    const tensor = { name: "token_embd.weight", class: "token_embd" };
    const facts = { arch: "llama", rankPooling: false, layers: 2, nextnLayers: 0 };
    expect(priorKind(tensor, { ...facts, hasOutput: false }).class).toBe("token_embd (tied)");
    expect(priorKind(tensor, { ...facts, hasOutput: true }).class).toBe("token_embd");
  });
});

describe("a file that is no prior", () => {
  it.each([
    ["{", /cut off at byte 1,/],
    [
      '{"schema":"prism.prior/2"}',
      /in a format of another PRISM, the text "prism.prior\/2", expected "prism.prior\/1"/,
    ],
    ['{"schema":"prism.prior/1"}', /version: expected text, got nothing/],
    [priorOf({}).replace('"sizeExponent":0', '"sizeExponent":null'), /sizeExponent: expected a number, got null/],
    [priorOf({ classes: { attn_q: "high" as never } }), /classes\.attn_q: expected a number, got the text "high"/],
  ])("is refused: %s", (text, message) => {
    expect(() => parsePrior("prior.json", text)).toThrow(FormatError);
    expect(() => parsePrior("prior.json", text)).toThrow(message);
  });
});
