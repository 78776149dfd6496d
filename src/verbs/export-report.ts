/** The pictures and tables of a report as files: SVG and PNG for papers and cards, CSV for spreadsheets. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeAside, writeFileAside } from "../disk/aside-file.ts";
import { UsageError } from "../errors.ts";
import { renderSvg } from "../report/charts/render-svg.ts";
import { tableCsv } from "../report/charts/table.ts";
import { type ChartTheme, DARK_THEME, LIGHT_THEME } from "../report/charts/theme.ts";
import { reportCharts, reportTables } from "../report/export.ts";
import type { ReportDocuments } from "../report/html/report-data.ts";
import { renderPng } from "../report/png.ts";
import { checkOutputs, type OutputChecks } from "./check-outputs.ts";

export interface ExportFolders {
  readonly svg?: string | undefined;
  readonly png?: string | undefined;
  readonly csv?: string | undefined;
}

export type ThemeName = ChartTheme["name"];

export const THEMES: Readonly<Record<ThemeName, ChartTheme>> = { light: LIGHT_THEME, dark: DARK_THEME };

/** Write what the folders ask for; returns the files. Throws UsageError as checkOutputs does. */
export async function exportReport(
  documents: ReportDocuments,
  { svg, png, csv }: ExportFolders,
  themeName: ThemeName,
  checks: OutputChecks,
): Promise<string[]> {
  const theme = THEMES[themeName];
  const background = theme.surface;
  const charts = svg === undefined && png === undefined ? [] : reportCharts(documents, theme);
  const tables = csv === undefined ? [] : reportTables(documents);
  const writers = new Map<string, () => Promise<void>>();
  for (const [name, chart] of charts) {
    if (svg !== undefined) {
      const path = join(svg, `${name}.svg`);
      writers.set(path, () => writeFileAside(path, renderSvg(chart, { background })));
    }
    if (png !== undefined) {
      const path = join(png, `${name}.png`);
      writers.set(path, async () => writePng(path, await renderPng(chart, { background })));
    }
  }
  if (csv !== undefined) {
    for (const [name, table] of tables) {
      const path = join(csv, `${name}.csv`);
      writers.set(path, () => writeFileAside(path, tableCsv(table)));
    }
  }
  const paths = [...writers.keys()];
  if (paths.length === 0) throw new UsageError("there is no picture to export: nothing was measured or planned yet");
  await checkOutputs(paths, checks);
  for (const write of writers.values()) await write();
  return paths;
}

async function writePng(path: string, png: Uint8Array): Promise<void> {
  await writeAside(path, (aside) => writeFile(aside, png));
}
