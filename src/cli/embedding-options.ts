/** The options of commands that embed, or judge models by their embeddings. */
import { type Command, Option } from "commander";
import { EMBEDDING_POOLINGS, type EmbeddingPooling } from "../ggml/model-facts.ts";

export interface EmbedderCliOptions {
  readonly pooling?: EmbeddingPooling;
  readonly queryPrefix?: string;
  readonly documentPrefix?: string;
}

export interface EmbeddingCliOptions extends EmbedderCliOptions {
  readonly retrieval?: string;
}

/** How a model embeds. */
export function addEmbedderOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--pooling <how>", "of a model that embeds and does not say how its hidden states are pooled").choices(
        EMBEDDING_POOLINGS,
      ),
    )
    .option("--query-prefix <text>", 'what the model wants before a query, like "query: "')
    .option("--document-prefix <text>", "and before a document");
}

/** The same, and what it is judged by. */
export function addEmbeddingOptions(command: Command): Command {
  const option =
    "judge embeddings by these texts: JSON Lines of {query, documents, relevance?}; default: prism's own set";
  return addEmbedderOptions(command.option("--retrieval <file>", option));
}
