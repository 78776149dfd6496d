/** The documents of a report, found from what a person names: a run's directory, a plan, or an analysis. */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ANALYSIS } from "../analyze/analysis.ts";
import { readAnalysis } from "../analyze/analysis-document.ts";
import { fileExists, writeFileAside } from "../disk/aside-file.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { schemaOf } from "../documents/read-document.ts";
import { FormatError, UsageError } from "../errors.ts";
import { PLAN } from "../plan/plan.ts";
import { readPlan } from "../plan/read-plan.ts";
import type { ReportDocuments } from "../report/html/report-data.ts";
import type { Ranking } from "../rerank/ranking-document.ts";
import { RUN_ANALYSIS, RUN_PLAN, RUN_RANKING, type RunFile, readRunFile } from "../run/read-run-file.ts";
import { RUN } from "../run/run-document.ts";
import { parseRun, RUN_FILES, type RunDirectory, runDirectory, runFiles } from "../run/run-state.ts";
import { renderPage } from "./render-page.ts";

/** Where `prism run` leaves the report of a run. */
export const RUN_REPORT = "report.html";

export interface ReportSource {
  readonly documents: ReportDocuments;
  /** Where the report goes unless -o says otherwise. */
  readonly output: string;
  /** What it was read from, and what else a run's directory holds. */
  readonly files: readonly string[];
  /** Of a run. */
  readonly directory?: RunDirectory;
}

/** Read what `path` names: a run's directory or its state.json, a plan, an analysis. Throws FileError, FormatError. */
export async function loadReportSource(path: string): Promise<ReportSource> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) return loadRun(path);
  const text = await readDocumentText(path);
  const schema = schemaOf(text, path);
  if (schema === RUN.id) return loadRun(dirname(path));
  const output = join(dirname(path), `${basename(path).replace(/(\.analysis)?\.json$/i, "")}.html`);
  const files = [path];
  if (schema === PLAN.id) return { documents: { plan: readPlan(text, path) }, output, files };
  if (schema === ANALYSIS.id) return { documents: { analysis: readAnalysis(text, path) }, output, files };
  throw new FormatError(
    path,
    `is neither a run, a plan nor an analysis of PRISM (schema ${JSON.stringify(schema ?? "none").slice(0, 80)})`,
  );
}

/** The run in a directory with its plan and analysis, as far as they are there. */
async function loadRun(path: string): Promise<ReportSource> {
  const directory = runDirectory(path);
  if (!(await fileExists(directory.state))) {
    throw new UsageError(
      `${path} is no directory of a run: it has no state.json; prism run MODEL --out ${path} makes one`,
    );
  }
  const run = parseRun(await readDocumentText(directory.state, RUN), directory.state);
  const plan = await readIfThere(directory.plan, RUN_PLAN);
  const analysis = await readIfThere(directory.analysis, RUN_ANALYSIS);
  const ranking = run.rows.some(({ rerank }) => rerank !== undefined) ? await readRankings(directory) : undefined;
  const documents = { run, ...(plan && { plan }), ...(analysis && { analysis }), ...(ranking && { ranking }) };
  return { documents, output: join(path, RUN_REPORT), files: await runFiles(directory), directory };
}

/** What the evaluations of a run say of its reranker, the plan first; undefined where none is left. */
async function readRankings({ evaluations }: RunDirectory): Promise<Ranking | undefined> {
  const names = await readdir(evaluations).catch(() => []);
  const byPlan = (name: string) => (name === "plan.json" ? 0 : 1);
  const ordered = names
    .filter((name) => RUN_FILES.test(name))
    .sort((a, b) => byPlan(a) - byPlan(b) || a.localeCompare(b, "en"));
  const found: Ranking[] = [];
  for (const name of ordered) {
    const path = join(evaluations, name);
    const ranking = await readRunFile(path, RUN_RANKING);
    if (ranking !== undefined) found.push(ranking);
  }
  const [first] = found;
  return first === undefined ? undefined : { ...first, models: found.flatMap(({ models }) => models) };
}

/** Write the report of a run into its directory; returns its path. */
export async function writeRunReport(path: string): Promise<string> {
  const { documents, output } = await loadRun(path);
  await writeFileAside(output, renderPage(documents));
  return output;
}

async function readIfThere<Document>(path: string, file: RunFile<Document>): Promise<Document | undefined> {
  return (await fileExists(path)) ? readRunFile(path, file) : undefined;
}
