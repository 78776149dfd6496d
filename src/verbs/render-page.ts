/** The page of documents: without what is of its maker's machine alone, as pages are handed on. */
import { present } from "../present.ts";
import { sharedPlan, sharedRun } from "../publish/published-documents.ts";
import { mapTexts, withoutFoldersIn } from "../publish/without-folders.ts";
import { renderReport } from "../report/html/render-report.ts";
import type { ReportDocuments } from "../report/html/report-data.ts";
import type { Run } from "../run/run-document.ts";

export interface PageOptions {
  /** Keep the folders of this machine, and say its processor. */
  readonly machine?: boolean | undefined;
  /** Warnings beside those of the run. */
  readonly changes?: readonly string[];
}

/** The HTML of a page that may be handed on, unless `machine` says that it is of this machine. */
export function renderPage(documents: ReportDocuments, { machine, changes = [] }: PageOptions = {}): string {
  const { run, plan, analysis, ...others } = documents;
  const warned = (shown: Run): Run => ({ ...shown, warnings: [...shown.warnings, ...changes] });
  if (machine) return renderReport({ ...documents, ...present({ run: run && warned(run) }) }, { machine });
  return renderReport({
    ...others,
    ...present({
      run: run && warned(sharedRun(run)),
      plan: plan && sharedPlan(plan),
      analysis: analysis && { ...analysis, engine: mapTexts(analysis.engine, (text) => withoutFoldersIn(text, [])) },
    }),
  });
}
