import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { METRIC_TABLE } from "../../src/analyze/metric-table.ts";

it("docs/metrics.md describes every metric of the table, in its order", async () => {
  const page = await readFile("docs/metrics.md", "utf8");
  const section = page.split("## The seven metrics\n")[1]?.split("\n## ")[0] ?? "";
  const names = [...section.matchAll(/^\| (.+?) +\|/gm)].map(([, name]) => name);
  expect(names.slice(2)).toEqual(METRIC_TABLE.map(({ label }) => label));
  expect(section.match(/^\d+\. \*\*/gm)).toHaveLength(METRIC_TABLE.length);
});
