/** The options of everything that takes a text to run models on. */
import { type Command, Option } from "commander";
import { parseInteger } from "./options.ts";

export interface TextOptions {
  readonly text?: string;
  readonly context?: number;
  readonly chunks?: number;
}

export function addTextOptions(command: Command, text: string, chunks: string): Command {
  return command
    .option("--text <file>", text)
    .addOption(
      new Option("--context <n>", "tokens per chunk; default 512, or the model's own if smaller").argParser((value) =>
        parseInteger("--context", value, 8, 2 ** 20),
      ),
    )
    .addOption(new Option("--chunks <n>", chunks).argParser((value) => parseInteger("--chunks", value, 1, 1e6)));
}

/** The same for a text that models are judged on. */
export function addJudgingTextOptions(command: Command): Command {
  return addTextOptions(
    command,
    "text to judge on; default: sampled from the reference",
    "score this many, or as many as the text has; default: until SE(KLD) is 5 % of KLD, at least 20",
  );
}
