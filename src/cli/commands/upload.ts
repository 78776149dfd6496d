/** prism upload: the files of a run, or of several, to a repository of the Hub. */
import { Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "../../errors.ts";
import { formatSize } from "../../numbers.ts";
import { isRepository } from "../../report/card/hub-metadata.ts";
import { type UploadRequest, type UploadResult, upload } from "../../verbs/upload.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";
import { withWorkplace } from "../with-bench.ts";

interface Options extends SharedOptions, Omit<UploadRequest, "output"> {
  readonly out?: string;
  readonly force?: boolean;
}

const HELP = `
prism upload RUN me/Model-GGUF          look at what would be uploaded
prism upload RUN me/Model-GGUF --yes    upload it

Uploads the models under their published names, and the card's folder
(RUN/card): it is written where there is none, and taken as it is where you have
edited it. What lies in the repository already is left; after a cut the same
command goes on. The token is HF_TOKEN, or that of hf auth login.
docs/publishing.md has the rest.`;

export function uploadCommand(context: CommandContext): Command {
  const command = new Command("upload")
    .description("upload a run to the Hub: its models, its card, and what others need to make them again")
    .argument("<run...>", "directories of runs, and at last OWNER/NAME of the repository")
    .option("--yes", "upload; without it nothing is, and the list is printed")
    .option("--private", "make the repository a private one")
    .option("--revision <branch>", "the branch, made where it is missing (default: main)")
    .option("--hub-url <url>", "another Hub (default: HF_ENDPOINT, or https://huggingface.co)")
    .option("-o, --out <dir>", "the folder of the card (default: card, in the run's directory)")
    .addOption(new Option("--base-model <owner/name>", "for the card: what was quantized").argParser(parseRepository))
    .option("--license <id>", "for the card: the license, where the source names none")
    .option("--quantized-by <name>", "for the card: who publishes it");
  return addSharedOptions(command, "force")
    .addHelpText("after", HELP)
    .action((words: string[], options: Options) => run(words, options, context));
}

function parseRepository(name: string): string {
  if (isRepository(name)) return name;
  throw new InvalidArgumentError("expected OWNER/NAME as on the Hub.");
}

async function run(words: readonly string[], options: Options, context: CommandContext): Promise<void> {
  const runs = words.slice(0, -1);
  const repository = words.at(-1);
  if (repository === undefined || runs.length === 0) {
    throw new UsageError("expected the directory of a run, and OWNER/NAME of the repository after it");
  }
  const output = openOutput(options);
  const { signal } = context;
  const { yes, private: isPrivate, revision, hubUrl, out: folder, force, baseModel, license, quantizedBy } = options;
  const card = { output: folder, force, baseModel, license, quantizedBy };
  const request = { yes, private: isPrivate, revision, hubUrl, ...card };
  const result = await withWorkplace(options, context, output, ({ progress }) =>
    upload(runs, repository, request, { signal, progress }),
  );
  const named = [
    ...(isPrivate === true ? ["--private"] : []),
    ...(revision === undefined ? [] : ["--revision", revision]),
    ...(hubUrl === undefined ? [] : ["--hub-url", hubUrl]),
    ...(folder === undefined ? [] : ["-o", folder]),
  ];
  output.result({
    document: result,
    text: () => describe(result, isPrivate === true),
    next: result.dryRun ? nextCommand("prism", "upload", ...words, "--yes", ...named) : undefined,
  });
}

function describe({ files, card, url, dryRun, exists }: UploadResult, isPrivate: boolean): string {
  const sent = files.filter(({ there }) => there !== true);
  const total = formatSize(sent.reduce((sum, { fileBytes }) => sum + fileBytes, 0));
  const count = `${sent.length} ${sent.length === 1 ? "file" : "files"}, ${total}`;
  const made = exists === false ? `; the ${isPrivate ? "private" : "public"} repository is made for it` : "";
  const page = dryRun ? ["", `the card is ${card.path}; it begins`, ...card.head.map((line) => `  ${line}`)] : [];
  const says = dryRun ? `would upload ${count}, to` : `uploaded ${count}, to`;
  return [
    ...table(files),
    ...page,
    "",
    ...(sent.length === 0 ? ["all of it is there:", url] : [says, `${url}${dryRun ? made : ""}`]),
  ].join("\n");
}

/** Digits of a SHA-256 that tell files apart and leave room for names; all of them are in SHA256SUMS and in --json. */
const DIGITS = 8;

/** What is sent first, then what lies there already. */
function table(files: UploadResult["files"]): string[] {
  const row = ({ fileBytes, sha256, publishAs }: UploadResult["files"][number]) =>
    `${formatSize(fileBytes).padStart(9)}  ${sha256.slice(0, DIGITS)}  ${publishAs}`;
  const there = files.filter((file) => file.there === true);
  return [
    `${"size".padStart(9)}  ${"SHA-256".padEnd(DIGITS)}  file`,
    ...files.filter((file) => file.there !== true).map(row),
    ...(there.length === 0 ? [] : ["there already, the same:", ...there.map(row)]),
  ];
}
