/** What to do where pictures can't be read: the embedded llama.cpp comes without the part that sees (libmtmd). */
import { FormatError, UsageError } from "../errors.ts";
import type { Model } from "../gguf/model.ts";
import { openModel } from "../gguf/open.ts";
import { printable } from "../plan/printable.ts";
import { findProjectors } from "../preflight/projector-files.ts";
import { hasRankHead } from "../preflight/rank-head.ts";
import { pathArgument, quoteWord } from "../shell-quote.ts";
import { type Asked, isOfTexts } from "./rank-content.ts";

/** A person can type it where it names a model. */
export const SEEING_SERVER = "llama-server -m MODEL --mmproj MMPROJ";

/** What a request with images is told. */
export function blind(): UsageError {
  return new UsageError(
    `images can't be ranked here: the embedded llama.cpp has no vision part; build it with prism doctor --build-mtmd, or start prism serve with --server URL, the address of a ${SEEING_SERVER}`,
  );
}

/** Throws FormatError for a file that was named as a projector and is none. */
export async function requireProjector(path: string): Promise<void> {
  const file = await openModel(path);
  await file.close();
  const { arch } = file.model;
  if (arch !== "clip")
    throw new FormatError(
      path,
      `is no projector (its architecture is ${printable(arch)}, not clip); name the mmproj of the model`,
    );
}

/** The projector to read images with: the one that was named, or lies beside the model. Throws UsageError for none. */
export async function chooseProjector(path: string, named: string | undefined): Promise<string> {
  const projector = named ?? (await findProjectors({ path, arch: "" }))[0]?.path;
  if (projector !== undefined) return projector;
  throw new UsageError(
    `images need the projector of ${path}, and none (mmproj) lies beside it; name it with --mmproj FILE`,
  );
}

/** Throws UsageError, with the command to type, where a set has pictures and nothing can read them for `model`: no server is asked, and the engine doesn't see. */
export async function refusePictures(
  { path, queries }: { readonly path?: string | undefined; readonly queries: readonly Asked[] },
  model: Model,
  { seesImages = false }: { readonly seesImages?: boolean | undefined } = {},
  named?: string,
): Promise<void> {
  if (queries.every(isOfTexts)) return;
  if (seesImages) return void (await chooseProjector(model.path, named));
  const [projector] = await findProjectors(model);
  const word = (name: string) => quoteWord(pathArgument(name));
  const head = hasRankHead(model) ? " --reranking" : "";
  const command = `llama-server -m ${word(model.path)} --mmproj ${projector === undefined ? "MMPROJ" : word(projector.path)}${head}`;
  throw new UsageError(
    `${path} has images, and the embedded llama.cpp no vision part (libmtmd) to read them with; build it with prism doctor --build-mtmd, or start "${command}" and let it score: prism evaluate with --server URL for the model, --reference-server URL for its reference`,
  );
}
