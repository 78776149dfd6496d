/** A run, a plan or an analysis → one HTML file, or its pictures and tables as files; runs → a model card. */
import { dirname, join } from "node:path";
import { writeFileAside } from "../disk/aside-file.ts";
import { UsageError } from "../errors.ts";
import type { CardOptions } from "../report/card/front-matter.ts";
import type { ReportDocuments } from "../report/html/report-data.ts";
import { changedFiles } from "../run/kept-files.ts";
import type { CardSource } from "./card-drafts.ts";
import { checkOutputs } from "./check-outputs.ts";
import { type ExportFolders, exportReport, type ThemeName } from "./export-report.ts";
import { renderPage } from "./render-page.ts";
import { loadReportSource, type ReportSource } from "./report-source.ts";
import { type CardResult, writeCard } from "./write-card.ts";

export interface ReportRequest {
  /** Where the HTML file goes; by default report.html in the run's directory, or beside the document. */
  readonly output?: string | undefined;
  readonly force?: boolean | undefined;
  /** Keep the folders of this machine in the page, and say its processor. */
  readonly machine?: boolean | undefined;
}

export interface WrittenReport {
  readonly path: string;
  readonly fileBytes: number;
  readonly documents: ReportDocuments;
  /** What is not as the run left it, in words; the page says it too. */
  readonly changes: readonly string[];
}

/** Write the HTML file. Throws FileError, FormatError, UsageError. */
export async function report(source: string, request: ReportRequest): Promise<WrittenReport> {
  const found = await loadReportSource(source);
  const { output, files } = found;
  const target = request.output ?? output;
  // a run's own report is made anew whenever the run is
  const isOwn = found.documents.run !== undefined && request.output === undefined;
  await checkOutputs([target], { inputs: files, force: isOwn || request.force });
  const { documents } = found;
  const changes = await changesOf(found);
  const page = renderPage(documents, { machine: request.machine, changes });
  await writeFileAside(target, page);
  return { path: target, fileBytes: Buffer.byteLength(page), documents, changes };
}

export interface ExportRequest extends ExportFolders {
  readonly theme?: ThemeName | undefined;
  readonly force?: boolean | undefined;
}

/** What is not what the run measured must not stand beside its figures without a word. */
async function changesOf({ documents: { run }, directory }: ReportSource): Promise<string[]> {
  if (run === undefined || directory === undefined) return [];
  return (await changedFiles(run, directory)).map(
    (name) => `${name} was changed after the run: the figures are not of what lies there now`,
  );
}

/** Write every picture and every table into folders; returns the files. */
export async function exportFiles(
  source: string,
  request: ExportRequest,
): Promise<{ readonly files: readonly string[]; readonly documents: ReportDocuments }> {
  const { documents, files: inputs } = await loadReportSource(source);
  const checks = { inputs, force: request.force };
  return { files: await exportReport(documents, request, request.theme ?? "light", checks), documents };
}

export interface CardRequest extends CardOptions {
  /** The folder of the card; by default `card` in the run's directory. */
  readonly output?: string | undefined;
  readonly force?: boolean | undefined;
}

/** Write the card of a run, or of a family of them: README.md with its picture. */
export async function card(
  runs: readonly string[],
  { output, force, ...options }: CardRequest,
  note: (text: string) => void = () => undefined,
): Promise<CardResult & { readonly folder: string }> {
  const { sources, inputs } = await loadCardSources(runs);
  const folder = cardFolder(sources, output);
  return { ...(await writeCard(sources, folder, options, { inputs, force }, note)), folder };
}

/** The runs a card is of, with the files they were read from. Throws FileError, FormatError. */
export async function loadCardSources(
  runs: readonly string[],
): Promise<{ readonly sources: readonly CardSource[]; readonly inputs: readonly string[] }> {
  const sources: CardSource[] = [];
  const inputs: string[] = [];
  for (const named of runs) {
    const path = /(^|[/\\])state\.json$/.test(named) ? dirname(named) : named;
    const { documents, files } = await loadReportSource(path);
    sources.push({ path, documents });
    inputs.push(...files);
  }
  return { sources, inputs };
}

/** The folder that is named, or the one in the only run. Throws UsageError. */
export function cardFolder(sources: readonly CardSource[], output: string | undefined): string {
  const [first] = sources;
  const own = first !== undefined && sources.length === 1 ? join(first.path, "card") : undefined;
  const folder = output ?? own;
  if (folder === undefined) throw new UsageError("-o DIR: a card of several runs needs a folder of its own");
  return folder;
}
