import { expect, it } from "vitest";
import { renderRunTable } from "../../src/report/html/tables.ts";
import type { RunRow } from "../../src/run/run-document.ts";
import { runInMemory } from "./charts/run-in-memory.ts";

const { run } = runInMemory();
const rerank = {
  meanAbsDelta: { value: 0.0234, se: 0.0011 },
  maxAbsDelta: 0.1,
  top1Agreement: 93.75,
  moved: 3,
  perQuery: [],
};

it("shows what was measured of a run, and no column of what was not", () => {
  const text = renderRunTable(run).html;
  expect(text).toContain("KLD, nats");
  expect(text).not.toContain("Δscore");
  const rows = run.rows.map(({ ppl: _, kld: __, sameTop: ___, ...row }): RunRow => ({ ...row, rerank }));
  const ranked = renderRunTable({ rows }).html;
  expect(ranked).toContain("0.0234 ± 0.0011");
  expect(ranked).toContain("on the same documents");
  expect(ranked).not.toMatch(/KLD, nats|perplexity/);
});
