import { describe, expect, it } from "vitest";
import { paretoChart } from "../../src/report/charts/pareto.ts";
import { tableCsv } from "../../src/report/charts/table.ts";
import { DARK_THEME } from "../../src/report/charts/theme.ts";
import { reportCharts, reportTables } from "../../src/report/export.ts";
import { renderPng } from "../../src/report/png.ts";
import { runInMemory } from "./charts/run-in-memory.ts";

const { analysis, plan, run } = runInMemory();
const documents = { analysis, plan, run };

/** A reader of RFC 4180 of its own. */
function parseCsv(csv: string): string[][] {
  const rows: string[][] = [];
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/y;
  let row: string[] = [];
  for (let match = field.exec(csv); match !== null; match = field.exec(csv)) {
    row.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
    if (match[3] === "\r\n") {
      rows.push(row);
      row = [];
    }
  }
  return rows;
}

describe("reportTables", () => {
  it("has the rows of the run with the run's numbers", () => {
    const [name, table] = reportTables(documents)[0] ?? [];
    expect(name).toBe("results");
    if (table === undefined) throw new Error("no table");
    const [head = [], ...rows] = parseCsv(tableCsv(table));
    expect(rows).toHaveLength(run.rows.length);
    for (const row of run.rows) {
      const cells = rows.find(([label]) => label === row.label) ?? [];
      const cell = (header: string) => cells[head.indexOf(header)];
      expect(Number(cell("file bytes"))).toBe(row.fileBytes);
      expect(cell("kld mean")).toBe(row.kld === undefined ? "" : String(row.kld.mean));
      expect(cell("ppl")).toBe(row.ppl === undefined ? "" : String(row.ppl.value));
    }
    expect(head).not.toContain("mean |Δscore|");
  });

  it("survives CSV: every cell of every table is read back", () => {
    for (const [, table] of reportTables(documents)) {
      const back = parseCsv(tableCsv(table));
      expect(back).toEqual([
        table.columns.map(({ header }) => header),
        ...table.rows.map((row) => row.map((value) => (value === undefined ? "" : String(value)))),
      ]);
    }
  });

  it("has a table for every picture, under names fit for files", () => {
    const tables = reportTables(documents).map(([name]) => name);
    for (const [name] of reportCharts(documents)) {
      expect(tables).toContain(name);
      expect(name).toMatch(/^[\w-]+$/);
    }
    expect(new Set(tables).size).toBe(tables.length);
  });
});

describe("renderPng", () => {
  it("is a PNG of twice the chart's size, with letters, light and dark", async () => {
    for (const settings of [{}, { theme: DARK_THEME }]) {
      const chart = paretoChart(run, settings);
      if (chart === undefined) throw new Error("no chart");
      const png = Buffer.from(await renderPng(chart, { background: settings.theme?.surface ?? "#ffffff" }));
      expect(png.subarray(1, 4).toString()).toBe("PNG");
      expect(png.readUInt32BE(16)).toBe(2 * chart.widthPx);
      expect(png.readUInt32BE(20)).toBe(2 * chart.heightPx);
      // without a font the same picture has no letters, and far fewer bytes
      const bare = { ...chart, option: { ...chart.option, legend: { show: false } } };
      expect(png.length).toBeGreaterThan((await renderPng(bare)).length + 1000);
    }
  });
});
