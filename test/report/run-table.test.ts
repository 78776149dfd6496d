import { expect, it } from "vitest";
import { renderRun } from "../../src/report/terminal/evaluation-table.ts";
import type { Run, RunRow } from "../../src/run/run-document.ts";

const kld = (mean: number) => ({ mean, se: mean / 50, median: mean, p99: 4 * mean, max: 9 * mean });

const row = (label: string, kind: RunRow["kind"], fileBytes: number, mean: number, verdict: string): RunRow => ({
  label,
  kind,
  fileBytes,
  bpw: 4,
  ppl: { value: 41.04, se: 2.2 },
  kld: kld(mean),
  sameTop: 90.1,
  verdict,
  ...(kind === "plan" ? {} : { kldMinusPlan: { value: mean - 0.0157, se: 0.0003 } }),
});

const run = (rows: readonly RunRow[]): Run =>
  ({ rows, gates: [], warnings: [], verdict: "the plan beats Q3_K_M" }) as unknown as Run;

it("shows a reranker's run by its scores of documents, and both where both were measured", () => {
  const rerank = {
    meanAbsDelta: { value: 0.021, se: 0.002 },
    maxAbsDelta: 0.34,
    kendallTau: { value: 0.91, se: 0.01 },
    top1Agreement: 87.5,
    moved: 9,
    perQuery: [0.02, 0.022],
    ndcg10: { value: 0.875, se: 0.02 },
  };
  const { ppl: _, kld: __, sameTop: ___, ...bare } = row("plan", "plan", 4.49e6, 0.02, "");
  const source: RunRow = { label: "f16.gguf", kind: "reference", fileBytes: 16.9e6, bpw: 16 };
  const cells = (text: string) => text.split("\n").map((line) => line.trim().split(/ {2,}/));
  const alone = renderRun(run([source, { ...bare, rerank }]));
  expect(cells(alone)[0]).toEqual(["size", "mean |Δ|", "max |Δ|", "τ", "same best", "nDCG@10", "against the"]);
  expect(cells(alone)[3]?.slice(-4)).toEqual(["0.340", "0.910", "87.5 %", "0.875"]);
  const both = renderRun(run([source, { ...row("plan", "plan", 4.49e6, 0.0157, ""), rerank }]));
  expect(cells(both).filter(([first]) => first === "> plan")).toHaveLength(2);
  expect(Math.max(...both.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
});

it("shows a run in 80 columns, largest file first, each row's KLD against the plan's", () => {
  const text = renderRun(
    run([
      { label: `${"a-very-long-model-name-".repeat(5)}f16.gguf`, kind: "reference", fileBytes: 16.9e6, bpw: 16 },
      row("plan", "plan", 4.49e6, 0.0157, ""),
      row("Q3_K_M", "preset", 4.49e6, 0.01727, "plan wins"),
      row("all IQ4_XS", "uniform", 4.61e6, 0.01334, "larger file"),
    ]),
  );
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  const lines = text.split("\n").map((line) => line.trim().split(/ {2,}/));
  expect(lines.slice(1, 5).map(([label]) => label)).toEqual(["reference", "all IQ4_XS", "> plan", "Q3_K_M"]);
  expect(lines[2]?.at(-1)).toBe("larger file -15 %");
  expect(lines[4]?.at(-1)).toBe("plan wins +10 %");
  expect(text).toContain("the plan beats Q3_K_M");
});
