/** The options of commands that judge models by their embeddings. */
import { type Command, Option } from "commander";
import type { EmbeddingPooling } from "../ggml/model-facts.ts";

export interface EmbeddingCliOptions {
  readonly retrieval?: string;
  readonly pooling?: EmbeddingPooling;
  readonly queryPrefix?: string;
  readonly documentPrefix?: string;
}

export function poolingOption(): Option {
  return new Option(
    "--pooling <how>",
    "of a model that embeds and does not say how its hidden states are pooled",
  ).choices(["mean", "cls", "last"]);
}

export function addEmbeddingOptions(command: Command): Command {
  return command
    .option(
      "--retrieval <file>",
      "judge embeddings by these texts: JSON Lines of {query, documents, relevance?}; default: prism's own set",
    )
    .addOption(poolingOption())
    .option("--query-prefix <text>", 'what the model wants before a query, like "query: "')
    .option("--document-prefix <text>", "and before a document");
}
