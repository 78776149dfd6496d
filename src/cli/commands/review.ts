/** prism review: the page of a plan in the browser, with a button that saves to the file. */
import { Command, Option } from "commander";
import { UsageError } from "../../errors.ts";
import { startReview } from "../../report/review-server.ts";
import { loadPlan } from "../../verbs/load-document.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, parseInteger, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";

interface ReviewOptions extends SharedOptions {
  readonly port: number;
}

const HELP = `
The address is printed on stderr and works once, in one browser on this machine.
Nothing but the opened plan, and the recipe files made of it that lie beside it,
is ever written. Ctrl-C ends it. To look at a plan or hand it on without a
server: prism report PLAN.json.`;

export function reviewCommand(context: CommandContext): Command {
  const command = new Command("review")
    .description("review and change a plan in the browser: budget and pins plan anew at once, and save to the file")
    .argument("<plan>", "a plan.json")
    .addOption(
      new Option("--port <n>", "port on 127.0.0.1")
        .argParser((text) => parseInteger("--port", text, 0, 65_535))
        .default(0, "any free one"),
    );
  return addSharedOptions(command)
    .addHelpText("after", HELP)
    .action((path: string, options: ReviewOptions) => runReview(path, options, context));
}

async function runReview(path: string, options: ReviewOptions, { signal }: CommandContext): Promise<void> {
  const output = openOutput(options);
  await loadPlan(path);
  const server = await startReview({
    path,
    port: options.port,
    onSave: ({ predicted, budget }) => output.note(`saved ${path}: ${predicted.fileBytes} bytes (${budget.text})`),
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE" && error.code !== "EACCES") throw error;
    const why = error.code === "EADDRINUSE" ? "is taken" : "may not be used";
    throw new UsageError(`--port ${options.port}: ${why}; give another, or leave it out`, { cause: error });
  });
  // without the address nobody could open it
  if (options.quiet) process.stderr.write(`${server.url}\n`);
  else output.note(`open ${server.url}\nCtrl-C ends it`);
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  await server.close();
  const saves = server.saves();
  output.result({
    document: { path, saves },
    text: () => (saves === 0 ? `${path} is as it was` : `saved ${path} ${saves} ${saves === 1 ? "time" : "times"}`),
    next: nextCommand("prism", "quantize", path),
  });
}
