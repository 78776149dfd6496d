/** The options of commands that score documents by a prompt. */
import { type Command, Option } from "commander";
import { PAIR_WAYS, type PairWay, SPECIAL_PLACES, type SpecialPlace } from "../rerank/encode-prompts.ts";

export interface PromptCliOptions {
  readonly yes?: string;
  readonly no?: string;
  readonly parseSpecial?: SpecialPlace;
  readonly pairs?: PairWay;
  readonly mmproj?: string;
}

export function addPromptOptions(command: Command): Command {
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
    )
    .option("--mmproj <file>", "the projector that reads images; default: the one that lies beside the model");
}
