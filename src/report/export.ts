/** Every picture of a report and every table, by the name of the file that it becomes. */

import type { Plan } from "../plan/plan.ts";
import { present } from "../present.ts";
import type { Run, RunRow } from "../run/run-document.ts";
import type { Chart } from "./charts/chart.ts";
import { mapTensors } from "./charts/model-map.ts";
import { measuredRows } from "./charts/pareto.ts";
import { CHARTS } from "./charts/registry.ts";
import type { ChartTable, TableColumn } from "./charts/table.ts";
import type { ChartTheme } from "./charts/theme.ts";
import { scoresTable } from "./evaluation-tables.ts";
import type { ReportDocuments } from "./html/report-data.ts";
import { type CsvField, RUN_COLUMNS, sortRows } from "./run-columns.ts";

/** Under a name that is fit for a file, without extension. */
export type Named<Content> = readonly [name: string, content: Content];

/** The pictures that the documents have data for. */
export function reportCharts({ run, plan, analysis }: ReportDocuments, theme?: ChartTheme): Named<Chart>[] {
  const source = { run, plan, tensors: mapTensors(plan, analysis) };
  const settings = present({ theme });
  return CHARTS.flatMap(({ file, variants, draw }): Named<Chart>[] => {
    const names = variants === undefined ? [undefined] : variants(source);
    return names.flatMap((variant) => {
      const chart = draw(source, settings, variant);
      return chart === undefined ? [] : [[variant === undefined ? file : `${file}-${variant}`, chart] as const];
    });
  });
}

/** The tables: those behind the pictures, the rows of a run, and the tensors of a plan. */
export function reportTables(documents: ReportDocuments): Named<ChartTable>[] {
  const { run, plan, ranking } = documents;
  return [
    ...(run === undefined ? [] : [["results", resultsTable(run)] as const]),
    ...(plan === undefined ? [] : [["tensors", tensorsTable(plan)] as const]),
    ...(ranking === undefined ? [] : [["scores", scoresTable(ranking)] as const]),
    ...reportCharts(documents).map(([name, { table }]) => [name, table] as const),
  ];
}

const number = (header: string): TableColumn => ({ header, kind: "number" });

const RUN_FIELDS: readonly CsvField<RunRow>[] = [
  [{ header: "model" }, ({ label }) => label],
  [{ header: "kind" }, ({ kind }) => kind],
  ...RUN_COLUMNS.flatMap(({ csv }) => csv),
];

/** The rows of a run and of its sweep with all that was measured of them; columns without a value are left out. */
function resultsTable(run: Run): ChartTable {
  return tableOf(RUN_FIELDS, sortRows(measuredRows(run)));
}

const TENSOR_FIELDS: readonly CsvField<Plan["tensors"][number]>[] = [
  [{ header: "tensor" }, ({ name }) => name],
  [{ header: "class" }, (tensor) => tensor.class],
  [number("layer"), ({ layer }) => layer],
  [{ header: "shape" }, ({ shape }) => shape.join("x")],
  [number("elements"), ({ elements }) => elements],
  [{ header: "source type" }, ({ sourceType }) => sourceType],
  [{ header: "type" }, ({ type }) => type],
  [{ header: "bytes", kind: "bytes" }, ({ bytes }) => bytes],
  [{ header: "reason" }, ({ reason }) => reason],
  [{ header: "note" }, ({ note }) => note],
  [number("sensitivity"), ({ sensitivity }) => sensitivity],
  [number("distortion"), ({ distortion }) => distortion],
  [number("loss share"), ({ lossShare }) => lossShare],
];

function tensorsTable({ tensors }: Plan): ChartTable {
  return tableOf(TENSOR_FIELDS, tensors);
}

function tableOf<Row>(fields: readonly CsvField<Row>[], rows: readonly Row[]): ChartTable {
  const used = fields.filter(([, value]) => rows.some((row) => value(row) !== undefined));
  return { columns: used.map(([column]) => column), rows: rows.map((row) => used.map(([, value]) => value(row))) };
}
