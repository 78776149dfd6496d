/** The options of commands that score documents by a prompt. */
import { type Command, Option } from "commander";
import { PAIR_WAYS, type PairWay, SPECIAL_PLACES, type SpecialPlace } from "../rerank/encode-prompts.ts";

export interface ReadingCliOptions {
  readonly yes?: string;
  readonly no?: string;
  readonly parseSpecial?: SpecialPlace;
  readonly pairs?: PairWay;
}

export interface PromptCliOptions extends ReadingCliOptions {
  readonly mmproj?: string;
}

/** How prompts are read and answered. */
export function addReadingOptions(command: Command): Command {
  return command
    .option(
      "--yes <word>",
      "what a causal reranker says of a relevant document; default: yes, as its tokenizer writes it",
    )
    .option("--no <word>", "and of another")
    .addOption(
      new Option(
        "--parse-special <where>",
        "where special tokens that are written out count: in the template alone (default), or in documents and queries too, as llama.cpp does",
      ).choices(SPECIAL_PLACES),
    )
    .addOption(
      new Option(
        "--pairs <way>",
        "of a BERT: tell query and document apart as it was trained, or not, as llama.cpp (default)",
      ).choices(PAIR_WAYS),
    );
}

/** The same, and what reads images. */
export function addPromptOptions(command: Command): Command {
  const projector = "the projector that reads images; default: the one that lies beside the model";
  return addReadingOptions(command).option("--mmproj <file>", projector);
}
