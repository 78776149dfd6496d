/** What was measured beside the text of an evaluation: by kind of text, and with caches of other types. */
import type { ModelEvaluation, Nearness } from "../../evaluate/evaluation.ts";
import { describeKv } from "../../footprint/context-size.ts";
import { printable } from "../../plan/printable.ts";
import { meanOfKinds } from "../mean-of-kinds.ts";
import { formatMeanSe } from "./mean-se.ts";
import { formatTable } from "./table.ts";
import { TERMINAL_WIDTH } from "./wrap-words.ts";

/** Of so many files each kind has a line for each. */
const MOST_NAMED = 2;

/** A file or a row, and what is told of it. */
export type FurtherFigures = Partial<Pick<ModelEvaluation, "kinds" | "kvCache" | "ppl" | "kld" | "sameTop">> & {
  readonly name: string;
};

/** Lines, each table after an empty one; none where nothing more was measured. */
export function moreFigureLines(models: readonly FurtherFigures[], width = TERMINAL_WIDTH): string[] {
  return [...kindLines(models, width), ...cacheLines(models, width)];
}

function kindLines(models: readonly FurtherFigures[], width: number): string[] {
  const judged = models.filter(({ kinds }) => kinds !== undefined);
  const names = [...new Set(judged.flatMap(({ kinds = [] }) => kinds.map(({ kind }) => kind)))];
  if (names.length === 0) return [];
  if (judged.length > MOST_NAMED) return ["", kindMatrix(judged, names, width)];
  const isNamed = judged.length > 1;
  const rows = names.flatMap((kind) =>
    judged.flatMap(({ name, kinds = [] }, index) => {
      const found = kinds.find((one) => one.kind === kind);
      if (found === undefined) return [];
      const head = [index === 0 ? printable(kind) : "", ...(isNamed ? [name] : [])];
      return [[...head, String(found.chunks), ...cells(found)]];
    }),
  );
  const means = judged.map(({ name, kinds = [] }, index) => {
    const head = [index === 0 ? "mean of kinds" : "", ...(isNamed ? [name] : [])];
    const mean = meanOfKinds(kinds);
    return [...head, "", mean === undefined ? "-" : formatMeanSe(mean), ""];
  });
  const columns = [
    { header: "by kind of text" },
    ...(isNamed ? [{ header: "" }] : []),
    { header: "chunks", align: "right" as const },
    { header: measureOf(judged), align: "right" as const },
    { header: "same top", align: "right" as const },
  ];
  return ["", formatTable(columns, [...rows, ...(measureOf(judged) === "PPL" ? [] : means)], width)];
}

/** A line each: of more there is no room for errors and shares. */
function kindMatrix(judged: readonly FurtherFigures[], names: readonly string[], width: number): string {
  const columns = [
    { header: `${measureOf(judged)} by kind` },
    ...[...names.map(printable), "mean"].map((header) => ({ header, align: "right" as const })),
  ];
  const rows = judged.map(({ name, kinds = [] }) => {
    const values = names.map((kind) => {
      const found = kinds.find((one) => one.kind === kind);
      return found?.kld?.mean ?? found?.ppl.value;
    });
    const known = values.filter((value) => value !== undefined);
    const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
    return [name, ...[...values, mean].map((value) => value?.toPrecision(3) ?? "-")];
  });
  return formatTable(columns, rows, width);
}

function cacheLines(models: readonly FurtherFigures[], width: number): string[] {
  const judged = models.flatMap(({ kvCache, ...model }) => (kvCache === undefined ? [] : [{ ...model, kvCache }]));
  const [first] = judged;
  if (first === undefined) return [];
  const rows = judged.flatMap(({ name, kvCache, ...model }) => [
    [name, "f16", ...cells(model)],
    ["", describeKv(kvCache), ...cells(kvCache)],
  ]);
  const columns = [
    { header: "by type of its cache" },
    { header: "" },
    { header: measureOf(models), align: "right" as const },
    { header: "same top", align: "right" as const },
  ];
  return ["", formatTable(columns, rows, width)];
}

function measureOf(models: readonly Pick<FurtherFigures, "kld">[]): string {
  return models.some(({ kld }) => kld !== undefined) ? "KLD (nats)" : "PPL";
}

function cells({ ppl, kld, sameTop }: Partial<Nearness>): string[] {
  const main = kld === undefined ? ppl : { value: kld.mean, se: kld.se };
  return [main === undefined ? "-" : formatMeanSe(main), sameTop === undefined ? "-" : `${sameTop.toFixed(1)} %`];
}
