import { describe, expect, it } from "vitest";
import { interpolateAt, kldDifference } from "../../src/run/row-distance.ts";
import type { RowKind, RunRow } from "../../src/run/run-document.ts";
import { creditsSensitivity, judgeRows, outcome, verdictOf } from "../../src/run/verdict.ts";
import { runVerdict } from "../../src/run/verdict-codes.ts";

const CHUNKS = 24;

/** A row whose chunks' KLDs alternate by ±`spread` around `mean`, in step with every other row's unless `against`. */
function row(label: string, kind: RowKind, bytes: number, mean: number, spread = 0.1, against = false): RunRow {
  const sign = against ? -1 : 1;
  const kldPerChunk = Array.from({ length: CHUNKS }, (_, chunk) => mean + sign * (chunk % 2 === 0 ? spread : -spread));
  const kld = { mean, se: spread / Math.sqrt(CHUNKS - 1), median: mean, p99: mean, max: mean };
  return { label, kind, fileBytes: bytes, bpw: 4, kld, kldPerChunk };
}

const plan = row("plan", "plan", 1000, 0.5);
const without = ({ kldPerChunk: _, ...rest }: RunRow): RunRow => rest;

describe("the plan against a row", () => {
  it.each([
    ["a worse file of its size", row("x", "preset", 1004, 0.6), "wins"],
    ["a worse larger file", row("x", "preset", 1100, 0.6), "wins"],
    ["a better larger file", row("x", "preset", 1100, 0.4), "larger-file"],
    ["a worse smaller file", row("x", "preset", 900, 0.6), "smaller-file"],
    ["a better smaller file", row("x", "preset", 900, 0.4), "loses"],
    ["a better file of its size", row("x", "preset", 996, 0.4), "loses"],
    ["a file of its size within 2 standard errors", row("x", "preset", 1000, 0.51, 0.1, true), "ties"],
    ["a larger file within 2 standard errors", row("x", "preset", 1100, 0.49, 0.1, true), "matches"],
    ["a smaller file within 2 standard errors", row("x", "preset", 900, 0.51, 0.1, true), "loses"],
    ["a file without KLD", { label: "x", kind: "preset", fileBytes: 1000, bpw: 4 }, "no-verdict"],
  ] as const)("%s: %s", (_, other, expected) => {
    expect(outcome(plan, other, CHUNKS)).toBe(expected);
  });

  it("is undecided under 20 chunks, however large the difference", () => {
    expect(outcome(plan, row("x", "preset", 1000, 5), 19)).toBe("no-verdict");
    expect(outcome(plan, row("x", "preset", 1000, 5), 20)).toBe("wins");
  });

  it("differences are paired: what all chunks share cancels", () => {
    const other = row("x", "preset", 1000, 0.51);
    expect(kldDifference(plan, other)?.value).toBeCloseTo(0.01, 12);
    expect(kldDifference(plan, other)?.se).toBeLessThan(1e-6);
    expect(outcome(plan, other, CHUNKS)).toBe("wins");
  });

  it("without values per chunk errors add as independent ones", () => {
    const other = without(row("x", "preset", 1000, 0.54));
    const se = Math.hypot(plan.kld?.se ?? 0, other.kld?.se ?? 0);
    expect(kldDifference(without(plan), other)).toEqual({ value: other.kld ? other.kld.mean - 0.5 : 0, se });
    expect(outcome(without(plan), other, CHUNKS)).toBe("ties");
    expect(outcome(without(plan), without(row("x", "preset", 1000, 0.6)), CHUNKS)).toBe("wins");
  });
});

describe("the verdict for programs", () => {
  it.each([
    ["wins", ["wins", "ties", "larger-file"]],
    ["mixed", ["wins", "loses"]],
    ["loses", ["loses", "ties"]],
    ["ties", ["matches", "smaller-file"]],
    ["no-control", ["larger-file", "smaller-file"]],
    ["no-control", []],
  ] as const)("is %s of %j", (expected, against) => {
    expect(runVerdict(against)).toBe(expected);
  });

  it("stands beside the words of every row but the plan and the reference", () => {
    const rows = [
      row("F16", "reference", 9000, 0),
      plan,
      row("x", "preset", 1004, 0.6),
      row("f", "feedback", 1000, 0.4),
    ];
    expect(judgeRows(rows, CHUNKS).map(({ verdictCode }) => verdictCode)).toEqual([
      undefined,
      undefined,
      "wins",
      "loses",
    ]);
    expect(verdictOf(rows, CHUNKS)).toBe("wins");
    expect(verdictOf(rows, 19)).toBe("no-verdict");
    expect(verdictOf([row("x", "preset", 1004, 0.6)], CHUNKS)).toBeUndefined();
  });
});

describe("interpolation", () => {
  const rows = [
    { fileBytes: 800, value: 0.8 },
    { fileBytes: 1200, value: 0.2 },
    { fileBytes: 4000, value: 0.01 },
  ];

  it("is geometric in KLD and linear in bytes between the nearest rows", () => {
    expect(interpolateAt(rows, 1000)).toBeCloseTo(0.4, 12);
    expect(interpolateAt(rows, 900)).toBeCloseTo(0.8 * (0.2 / 0.8) ** 0.25, 12);
    expect(interpolateAt(rows, 800)).toBeCloseTo(0.8, 12);
  });

  it("does not go beyond the rows there are", () => {
    expect(interpolateAt(rows, 799)).toBeUndefined();
    expect(interpolateAt(rows, 5000)).toBeUndefined();
    expect(interpolateAt([], 1000)).toBeUndefined();
  });
});

describe("the verdict of a run", () => {
  const verdict = (rows: RunRow[], chunks = CHUNKS, credited?: boolean) =>
    judgeRows([plan, ...rows], chunks, credited)[0]?.verdict;

  it("names what the plan beats, matches, ties with and loses to", () => {
    const rows = [
      row("Q3_K_M", "preset", 1000, 0.6),
      row("Q3_K_L", "preset", 1100, 0.49, 0.1, true),
      row("shuffle 1", "shuffle", 1000, 0.51, 0.1, true),
      row("shuffle 2", "shuffle", 1000, 0.3),
      row("shuffle 3", "shuffle", 1000, 0.3),
    ];
    expect(verdict(rows)).toBe(
      "the plan beats Q3_K_M; is as good as the larger Q3_K_L; ties with shuffled plan 1; loses to shuffled plan 2, shuffled plan 3",
    );
  });

  it("compares with interpolated rows only where none has the plan's size", () => {
    const around = [row("all Q3_K", "uniform", 800, 0.8), row("all Q4_K", "uniform", 1200, 0.2)];
    expect(verdict(around)).toBe(
      "the plan has no control of its size to compare with; its KLD is 25.0 % higher than that of uniform types interpolated to its size (0.400)",
    );
    expect(verdict([...around, row("all X", "uniform", 1001, 0.6)])).toBe("the plan beats all X");
  });

  it("says so where nothing can be said", () => {
    expect(verdict([row("x", "preset", 1000, 0.6)], 3)).toBe("only 3 chunks were scored: no verdict under 20");
    const { kld: _, ...bare } = plan;
    expect(judgeRows([bare], CHUNKS)[0]?.verdict).toBe("no KL divergence was measured: no verdict");
  });

  it("credits the sensitivity, or says that it does not", () => {
    expect(verdict([], CHUNKS, true)).toContain("the gain is the sensitivity's own");
    expect(verdict([], CHUNKS, false)).toContain("nothing is credited to the sensitivity");
    expect(verdict([])).not.toContain("sensitivity");
  });

  it("gives rows their difference to the plan, and the reference none", () => {
    const [, reference, other] = judgeRows(
      [plan, row("model", "reference", 9000, 0), row("x", "preset", 1000, 0.75)],
      CHUNKS,
    );
    expect(reference).not.toHaveProperty("verdict");
    expect(other?.verdict).toBe("plan wins");
    expect(other?.kldMinusPlan?.value).toBeCloseTo(0.25, 12);
  });
});

describe("credit to the sensitivity", () => {
  const uniform = row("s = elements", "uniform-s", 1000, 0.6);
  const shuffles = [1, 2, 3].map((seed) => row(`shuffle ${seed}`, "shuffle", 1000, 0.6));

  it("needs a win over s = elements and every shuffle", () => {
    expect(creditsSensitivity([plan, uniform, ...shuffles], CHUNKS)).toBe(true);
    const tie = row("shuffle 3", "shuffle", 1000, 0.505, 0.1, true);
    expect(creditsSensitivity([plan, uniform, ...shuffles.slice(1), tie], CHUNKS)).toBe(false);
    expect(creditsSensitivity([plan, row("s = elements", "uniform-s", 1000, 0.4), ...shuffles], CHUNKS)).toBe(false);
  });

  it("does not ask for a win over presets", () => {
    expect(creditsSensitivity([plan, uniform, ...shuffles, row("x", "preset", 1000, 0.1)], CHUNKS)).toBe(true);
  });

  it("is no question for the plan with s = elements, nor with too little text", () => {
    expect(creditsSensitivity([plan, ...shuffles], CHUNKS)).toBeUndefined();
    expect(creditsSensitivity([plan, uniform, ...shuffles], 19)).toBeUndefined();
  });
});
