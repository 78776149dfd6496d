/** A run, a plan or an analysis → one HTML file, or its pictures and tables as files; runs → a model card. */
import { dirname, join, resolve } from "node:path";
import { writeFileAside } from "../disk/aside-file.ts";
import { UsageError } from "../errors.ts";
import type { CardOptions } from "../report/card/front-matter.ts";
import { renderReport } from "../report/html/render-report.ts";
import type { ReportDocuments } from "../report/html/report-data.ts";
import { checkOutputs } from "./check-outputs.ts";
import { type ExportFolders, exportReport, type ThemeName } from "./export-report.ts";
import { loadReportSource } from "./report-source.ts";
import { type CardResult, writeCard } from "./write-card.ts";

export interface ReportRequest {
  /** Where the HTML file goes; by default report.html in the run's directory, or beside the document. */
  readonly output?: string | undefined;
  readonly force?: boolean | undefined;
}

export interface WrittenReport {
  readonly path: string;
  readonly fileBytes: number;
  readonly documents: ReportDocuments;
}

/** Write the HTML file. Throws FileError, FormatError, UsageError. */
export async function report(source: string, request: ReportRequest): Promise<WrittenReport> {
  const { documents, output } = await loadReportSource(source);
  const target = request.output ?? output;
  if (resolve(target) === resolve(source)) throw new UsageError(`-o ${target}: is what the report is made of`);
  // a run's own report is made anew whenever the run is
  const isOwn = documents.run !== undefined && request.output === undefined;
  await checkOutputs([target], isOwn || (request.force ?? false));
  const page = renderReport(documents);
  await writeFileAside(target, page);
  return { path: target, fileBytes: Buffer.byteLength(page), documents };
}

export interface ExportRequest extends ExportFolders {
  readonly theme?: ThemeName | undefined;
  readonly force?: boolean | undefined;
}

/** Write every picture and every table into folders; returns the files. */
export async function exportFiles(
  source: string,
  request: ExportRequest,
): Promise<{ readonly files: readonly string[]; readonly documents: ReportDocuments }> {
  const { documents } = await loadReportSource(source);
  const files = await exportReport(documents, request, request.theme ?? "light", request.force ?? false);
  return { files, documents };
}

export interface CardRequest extends CardOptions {
  /** The folder of the card; by default `card` in the run's directory. */
  readonly output?: string | undefined;
  readonly force?: boolean | undefined;
}

/** Write the card of a run, or of a family of them: README.md with its picture. */
export async function card(
  runs: readonly string[],
  { output, force = false, ...options }: CardRequest,
  note: (text: string) => void = () => undefined,
): Promise<CardResult & { readonly folder: string }> {
  const sources = [];
  for (const named of runs) {
    const path = /(^|[/\\])state\.json$/.test(named) ? dirname(named) : named;
    sources.push({ path, documents: (await loadReportSource(path)).documents });
  }
  const [first] = sources;
  const own = first !== undefined && sources.length === 1 ? join(first.path, "card") : undefined;
  const folder = output ?? own;
  if (folder === undefined) throw new UsageError("-o DIR: a card of several runs needs a folder of its own");
  return { ...(await writeCard(sources, folder, options, force, note)), folder };
}
