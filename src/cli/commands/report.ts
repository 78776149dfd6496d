/** prism report: a run, a plan or an analysis as one HTML file. */
import { resolve } from "node:path";
import { Command } from "commander";
import { writeFileAside } from "../../aside-file.ts";
import { UsageError } from "../../errors.ts";
import { renderReport } from "../../report/html/render-report.ts";
import { formatSize } from "../../report/terminal/numbers.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { forceOption, jsonOption } from "../options.ts";
import { openOutput } from "../output.ts";
import { checkOutputs } from "../output-files.ts";
import { loadReportSource } from "../report-files.ts";

interface ReportOptions {
  readonly output?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

const HELP = `
The file holds everything: it opens from a disk, asks nothing of any network, and
plans anew in the browser. prism run writes the report of a run by itself, as
report.html in its directory; naming the directory here writes it again.`;

export function reportCommand(_context: CommandContext): Command {
  return new Command("report")
    .description("make one HTML file of a run, a plan or an analysis: tables, charts, the map, planning anew")
    .argument("<source>", "the directory of a run, a plan.json, or an analysis.json")
    .option("-o, --output <file>", "where it goes (default: report.html in the run's directory, else NAME.html)")
    .addOption(forceOption())
    .addOption(jsonOption())
    .addHelpText("after", HELP)
    .action(runReport);
}

async function runReport(source: string, options: ReportOptions): Promise<void> {
  const { documents, output } = await loadReportSource(source);
  const target = options.output ?? output;
  if (resolve(target) === resolve(source)) throw new UsageError(`-o ${target}: is what the report is made of`);
  // a run's own report is made anew whenever the run is
  const isOwn = documents.run !== undefined && options.output === undefined;
  await checkOutputs([target], isOwn || (options.force ?? false));
  const page = renderReport(documents);
  await writeFileAside(target, page);
  const fileBytes = Buffer.byteLength(page);
  openOutput(options).result({
    document: { path: target, fileBytes },
    text: () => `wrote ${target} (${formatSize(fileBytes)}); open it in a browser`,
    next: documents.plan
      ? nextCommand("prism", "review", planPath(source, documents))
      : nextCommand("prism", "plan", source, "--like", "Q4_K_M"),
  });
}

function planPath(source: string, { run }: { readonly run?: unknown }): string {
  return run === undefined ? source : `${source.replace(/[/\\](state\.json)?$/, "")}/plans/plan.json`;
}
