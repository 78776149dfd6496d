import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { PAGE_PATH, readResults, renderPage } from "../../campaign/report.ts";

describe("the page of the campaign", () => {
  it("tells what was counted, failures by kind", () => {
    const recorded = { prismVersion: "0", machine: "a machine", date: "2026-01-01T00:00:00.000Z" };
    const failures = [{ kind: "hang", id: "kills 1/2", what: "no\n<end>" }] as const;
    const figures = { part: "kills", seed: 1, cases: 9, counts: { "a b": 3 }, seconds: 2, skipped: ["c"], failures };
    const page = renderPage({ kills: { ...figures, resumed: 4, peakBytes: 5e6, ...recorded } });
    const [row = ""] = /^\| kills.*$/m.exec(page) ?? [];
    expect(row.split("|").map((cell) => cell.trim())).toEqual([
      "",
      "kills",
      "9",
      "0",
      "1",
      "0",
      "0",
      "4",
      "5 MB",
      "2 s",
      "",
    ]);
    expect(page).toContain("Seed 1, PRISM 0, 2026-01-01, a machine.");
    expect(page).toContain("Counted: a b 3.");
    expect(page).toContain("Not tried: c.");
    expect(page).toContain("- **hang**, kills 1/2: no \\<end\\>");
  });

  it("is written from the results and by nobody else (npm run campaign -- report)", async () => {
    expect(await readFile(PAGE_PATH, "utf8")).toBe(renderPage(readResults()));
  });
});
