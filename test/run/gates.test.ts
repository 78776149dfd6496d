import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { conditionText, parseCondition } from "../../src/run/gate-syntax.ts";
import {
  checkGates,
  gotInWords,
  parseGates,
  presetsOf,
  requireMeasured,
  requirePossibleRows,
  requireRows,
} from "../../src/run/gates.ts";
import type { RunRow } from "../../src/run/run-document.ts";
import type { RowVerdict } from "../../src/run/verdict-codes.ts";

const row: RunRow = {
  label: "plan",
  kind: "plan",
  fileBytes: 1000,
  bpw: 4,
  ppl: { value: 20, se: 1 },
  lnPplRatio: { value: Math.log(1.1), se: 0.01 },
  kld: { mean: 0.05, se: 0.001, median: 0.02, p99: 0.5, max: 2 },
};
const against = (label: string, verdictCode: RowVerdict, difference: number): RunRow => ({
  ...{ label, kind: "preset", fileBytes: 1000, bpw: 4, verdictCode },
  kldMinusPlan: { value: difference, se: 0.001 },
});
const ROWS = [row, against("Q4_K_M", "wins", 0.01), against("Q5_K_M", "matches", 0), against("IQ4_XS", "loses", -0.02)];

const met = (text: string, file: RunRow = row) => checkGates(parseGates([text]), file, ROWS).every((gate) => gate.met);

describe("a gate", () => {
  it.each([
    ["kld<=0.05", 0.05, true],
    ["kld<0.05", 0.05, false],
    ["kld >= 0.05", 0.05, true],
    ["kld>5e-2", 0.05, false],
    ["kldMedian<0.1", 0.02, true],
    ["kldP99<0.1", 0.5, false],
    ["kldMax<3", 2, true],
    ["ppl<20.5", 20, true],
    ["pplRatio<=1.2", 1.1, true],
    ["lnPplRatio<0.01", Math.log(1.1), false],
    ["fileBytes<=1000", 1000, true],
    ["bpw<4", 4, false],
    ["KLD<=.05", 0.05, true],
    ["kldp99<0.1", 0.5, false],
    ["size<=1kB", 1000, true],
    ["Size < 1 KiB", 1000, true],
    ["size<0.5kB", 1000, false],
    ["fileBytes<=1MB", 1000, true],
  ] as const)("%s is read and checked", (text, value, expected) => {
    const [result] = checkGates(parseGates([text]), row);
    expect(result?.met).toBe(expected);
    expect(result?.value).toBeCloseTo(value, 12);
  });

  it("is missed where its value was not measured", () => {
    expect(checkGates(parseGates(["sameTop>=0"]), row)).toEqual([{ gate: "sameTop>=0", met: false }]);
  });

  it("takes percent, of what is in percent", () => {
    const file = { ...row, sameTop: 96.5 };
    expect(["sameTop>=96%", "sameTop>=96", "SAMETOP >= 96.5 %"].map((text) => met(text, file))).toEqual([
      true,
      true,
      true,
    ]);
    expect(met("sameTop>=97%", file)).toBe(false);
    expect(() => parseGates(["sameTop>=0.95"])).toThrow(/sameTop is in percent: 95%, not 0\.95/);
    expect(() => parseGates(["kld<=5%"])).toThrow(/kld is no part of a hundred/);
  });

  it("asks for verdicts against rows, whatever the capitals", () => {
    expect(checkGates(parseGates(["beats(q4_k_m)"]), row, ROWS)).toEqual([
      { gate: "beats(Q4_K_M)", value: 0.01, verdictCode: "wins", met: true },
    ]);
    const words = ["ties(Q4_K_M)", "BEATS(Q5_K_M)", "ties( Q5_K_M )", "beats(IQ4_XS)", "ties(IQ4_XS)"];
    expect(words.map((text) => met(text))).toEqual([false, false, true, false, false]);
    expect(checkGates(parseGates(["beats(shuffle 1)"]), row, ROWS)).toEqual([{ gate: "beats(shuffle 1)", met: false }]);
  });
});

describe("gates joined", () => {
  it("by && are a gate each, as is each --require", () => {
    const gates = parseGates(["kld<=0.1 && (size<=6GB && bpw>9)", "beats(Q4_K_M)"]);
    expect(checkGates(gates, row, ROWS).map(({ gate, met }) => [gate, met])).toEqual([
      ["kld<=0.1", true],
      ["size<=6GB && bpw>9", false],
      ["beats(Q4_K_M)", true],
    ]);
  });

  it("by || are one, with the figure of each", () => {
    const [result] = checkGates(parseGates(["kld<0.05||beats(Q4_K_M)"]), row, ROWS);
    expect(result).toEqual({
      gate: "kld<0.05 || beats(Q4_K_M)",
      met: true,
      of: [
        { gate: "kld<0.05", value: 0.05, met: false },
        { gate: "beats(Q4_K_M)", value: 0.01, verdictCode: "wins", met: true },
      ],
    });
    expect(result && gotInWords(result)).toBe("kld<0.05: 0.05; beats(Q4_K_M): plan wins");
  });

  it.each([
    ["kld<1 || kld<0 && bpw>9", true],
    ["(kld<1 || kld<0) && bpw>9", false],
    ["kld<0 && bpw<9 || bpw<9", true],
    ["((kld<0)) || (beats(IQ4_XS) || ties(Q5_K_M))", true],
    ["(kld<0 || beats(IQ4_XS)) && bpw<9", false],
  ])("%s binds && first: %s", (text, expected) => {
    expect(met(text)).toBe(expected);
    const shown = conditionText(parseCondition(text));
    expect(conditionText(parseCondition(shown))).toBe(shown);
    expect(met(shown)).toBe(expected);
  });

  it.each([
    "",
    "kld",
    "kld=0.05",
    "kld==0.05",
    "kld<=",
    "kld<=x",
    "kld<=Infinity",
    "<=1",
    "speed<1",
    "toString<1",
    "kld<=1 or so",
    "kld<=1 &&",
    "kld<=1 & bpw<4",
    "(kld<=1",
    "kld<=1)",
    "beats()",
    "beats(Q4_K_M",
    "beats Q4_K_M",
    "kld<=1 bpw<4",
    "kld<=1GB",
    "0.05>=kld",
    `${"(".repeat(60)}kld<1${")".repeat(60)}`,
  ])("refuse %j with the measures there are", (text) => {
    expect(() => parseGates([text])).toThrow(UsageError);
    expect(() => parseGates([text])).toThrow(/--require: .*kld, kldMedian, .*, got "/);
  });

  it("say where a condition goes wrong", () => {
    expect(() => parseGates(["kld<=0.05 && speed>1"])).toThrow(
      'expected a measure, beats(ROW) or ties(ROW) at "speed>1"',
    );
    expect(() => parseGates(["kld<=0.05 &&"])).toThrow("expected a measure, beats(ROW) or ties(ROW) at its end");
    expect(() => parseGates(["size<=6G"])).toThrow(/6G.*ambiguous/);
  });
});

describe("what gates ask for", () => {
  it("presets are rows to make, and other rows must be possible", () => {
    expect(presetsOf(parseGates(["beats(q4_k_m) || ties(all Q4_K)", "beats(Q4_K_M)"]))).toEqual(["Q4_K_M"]);
    expect(() => requirePossibleRows(parseGates(["beats(Q4_K_N)"]), [])).toThrow(/no row "Q4_K_N"/);
    const gates = parseGates(["beats(shuffle 2) && ties(All q4_K) && beats(S = elements) && beats(Qwen DQ)"]);
    expect(() => requirePossibleRows(gates, ["qwen dq"])).not.toThrow();
    expect(() => requireRows(parseGates(["beats(all Q2_K)"]), ["Q4_K_M", "all Q4_K"])).toThrow(
      /no row "all Q2_K".*there are Q4_K_M, all Q4_K/,
    );
  });

  it("figures must be measured", () => {
    const text = { text: true, rerank: false, embeddings: false, speed: false };
    expect(() => requireMeasured(parseGates(["kld<1 && size<1GB && beats(Q4_K_M)"]), text)).not.toThrow();
    expect(() => requireMeasured(parseGates(["drift<1"]), text)).toThrow(/drift<1: that is not measured here; .*kld/);
    expect(() => requireMeasured(parseGates(["ppl<9"]), text, { reference: false })).not.toThrow();
    expect(() => requireMeasured(parseGates(["kld<1"]), text, { reference: false })).toThrow(/without --reference/);
    const embeds = { text: false, rerank: false, embeddings: true, speed: false };
    expect(() => requireMeasured(parseGates(["tps>=20"]), text)).toThrow(
      /tps>=20: that is not measured here without --speed/,
    );
    expect(() => requireMeasured(parseGates(["tps>=20 || promptTps>9"]), { ...text, speed: true })).not.toThrow();
    expect(() => requireMeasured(parseGates(["top1Agreement>=90% && drift<1"]), embeds)).not.toThrow();
  });
});
