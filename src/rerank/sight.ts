/** What to do where pictures can't be read: the embedded llama.cpp comes without the part that sees (libmtmd). */
import { UsageError } from "../errors.ts";
import type { Model } from "../gguf/model.ts";
import { findProjectors } from "../preflight/projector-files.ts";
import { hasRankHead } from "../preflight/rank-head.ts";
import { pathArgument, quoteWord } from "../shell-quote.ts";
import { type Asked, isOfTexts } from "./rank-content.ts";

/** A person can type it where it names a model. */
export const SEEING_SERVER = "llama-server -m MODEL --mmproj MMPROJ";

/** Narrows to texts. Throws UsageError for pictures, which a server has to be started for. */
export function requireTexts<Any extends Asked>(asked: Any): Any & Asked<string> {
  if (isOfTexts(asked)) return asked;
  throw new UsageError(
    `images can't be ranked here: the embedded llama.cpp has no vision part; start prism serve with --server URL, the address of a ${SEEING_SERVER}`,
  );
}

/** Throws UsageError, with the command to type, where a set has pictures and no server is to score `model`. */
export async function refusePictures(
  { path, queries }: { readonly path?: string | undefined; readonly queries: readonly Asked[] },
  model: Model,
): Promise<void> {
  if (queries.every(isOfTexts)) return;
  const [projector] = await findProjectors(model);
  const word = (name: string) => quoteWord(pathArgument(name));
  const head = hasRankHead(model) ? " --reranking" : "";
  const command = `llama-server -m ${word(model.path)} --mmproj ${projector === undefined ? "MMPROJ" : word(projector.path)}${head}`;
  throw new UsageError(
    `${path} has images, and the embedded llama.cpp no vision part (libmtmd) to read them with; start "${command}" and let it score: prism evaluate with --server URL for the model, --reference-server URL for its reference`,
  );
}
