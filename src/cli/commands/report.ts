/** prism report: a run, a plan or an analysis as one HTML file; as a model card; its pictures and tables as files. */
import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "../../errors.ts";
import { formatSize } from "../../numbers.ts";
import { isRepository } from "../../report/card/hub-metadata.ts";
import type { ThemeName } from "../../verbs/export-report.ts";
import { card, exportFiles, report } from "../../verbs/report.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, type SharedOptions } from "../options.ts";
import { openOutput, type Result } from "../output.ts";

interface ReportOptions extends SharedOptions {
  readonly out?: string;
  readonly card?: boolean;
  readonly quantizedBy?: string;
  readonly baseModel?: string;
  readonly license?: string;
  readonly repo?: string;
  readonly svg?: string;
  readonly png?: string;
  readonly csv?: string;
  readonly machine?: boolean;
  readonly theme: ThemeName;
}

const HELP = `
The HTML file holds everything: it opens from a disk, asks nothing of any
network, and plans anew in the browser. prism run writes the report of a run by
itself, as report.html in its directory; naming the directory here writes it
again.

--card writes README.md for the page of the model on the Hub, with its picture
and what others need to make the files again (plan.json, tensor-types.txt,
probes.json, evaluation.json, SHA256SUMS), and says which models to upload under
which names; several runs make one card of a family.
A page says nothing of the machine it was made on: paths are names of
files alone (--machine keeps them).
--svg, --png and --csv write every picture and every table into a folder.`;

export function reportCommand(_context: CommandContext): Command {
  const command = new Command("report")
    .description("make one HTML file of a run, a plan or an analysis; a model card; pictures and tables as files")
    .argument("<source...>", "the directory of a run (--card: of several), a plan.json, or an analysis.json")
    .option(
      "-o, --out <path>",
      "where it goes (default: report.html, with --card the folder card, in the run's directory)",
    )
    .option("--card", "write a model card for the Hub: README.md and its picture")
    .addOption(new Option("--repo <owner/name>", "with --card: where it will be published").argParser(parseRepository))
    .addOption(new Option("--base-model <owner/name>", "with --card: what was quantized").argParser(parseRepository))
    .option("--license <id>", "with --card: the license, where the source names none")
    .option("--quantized-by <name>", "with --card: who publishes it")
    .option("--machine", "keep the folders of this machine in the page, and name its processor")
    .addOption(new Option("--svg <dir>", "write every picture as SVG").conflicts("card"))
    .addOption(new Option("--png <dir>", "write every picture as PNG").conflicts("card"))
    .addOption(new Option("--csv <dir>", "write every table as CSV").conflicts("card"))
    .addOption(new Option("--theme <name>", "of SVG and PNG").choices(["light", "dark"]).default("light"));
  return addSharedOptions(command, "force")
    .addHelpText("after", HELP)
    .action(async (sources: string[], options: ReportOptions) => {
      openOutput(options).result(await makeReport(sources, options));
    });
}

function parseRepository(name: string): string {
  if (isRepository(name)) return name;
  throw new InvalidArgumentError("expected OWNER/NAME as on the Hub.");
}

function makeReport(sources: readonly string[], options: ReportOptions): Promise<Result> {
  if (options.card === true) return reportCard(sources, options);
  const [source, ...more] = sources;
  if (source === undefined || more.length > 0) {
    throw new UsageError(`${sources.length} sources: one report is of one; --card makes a card of several runs`);
  }
  const exports = [options.svg, options.png, options.csv].some((folder) => folder !== undefined);
  return exports ? reportFiles(source, options) : reportPage(source, options);
}

async function reportPage(source: string, options: ReportOptions): Promise<Result> {
  const { path, fileBytes, documents, changes } = await report(source, { ...options, output: options.out });
  for (const change of changes) openOutput(options).note(`! ${change}`);
  return {
    document: { path, fileBytes },
    text: () => `wrote ${path} (${formatSize(fileBytes)}); open it in a browser`,
    next: documents.plan
      ? nextCommand("prism", "review", planPath(source, documents))
      : nextCommand("prism", "plan", source, "--like", "Q4_K_M"),
  };
}

async function reportFiles(source: string, options: ReportOptions): Promise<Result> {
  if (options.out !== undefined) {
    throw new UsageError("-o names the HTML file; with --svg, --png and --csv each names its own folder");
  }
  const { files, documents } = await exportFiles(source, options);
  return {
    document: { files },
    text: () => files.map((file) => `wrote ${file}`).join("\n"),
    next: nextCommand("prism", "report", source, ...(documents.run === undefined ? [] : ["--card"])),
  };
}

async function reportCard(paths: readonly string[], options: ReportOptions): Promise<Result> {
  const { quantizedBy, baseModel, license, repo: repository, out: output, force } = options;
  const { note } = openOutput(options);
  const request = { quantizedBy, baseModel, license, repository, output, force };
  const { written, models, folder } = await card(paths, request, note);
  const files = models.flatMap((model) => model.files);
  const owner = repository ?? "OWNER/NAME";
  // what is in the folder goes with it
  const elsewhere = files.filter(({ path, publishAs }) => path !== join(folder, publishAs));
  const uploads = elsewhere.map(({ path, publishAs }) => nextCommand("hf", "upload", owner, path, publishAs));
  return {
    document: { written, files },
    text: () =>
      [
        ...written.map((file) => `wrote ${file}`),
        "",
        "to publish it with the Hub's own tool:",
        ...uploads,
        nextCommand("hf", "upload", owner, folder, "."),
      ].join("\n"),
    next: nextCommand("prism", "upload", ...paths, owner, ...(output === undefined ? [] : ["-o", output])),
  };
}

function planPath(source: string, { run }: { readonly run?: unknown }): string {
  return run === undefined ? source : `${source.replace(/[/\\](state\.json)?$/, "")}/plans/plan.json`;
}
