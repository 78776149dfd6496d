/** The files of runs as they go to the Hub: the models where they lie, and what is in the folder of the card. */
import { join } from "node:path";
import { fileExists } from "../disk/aside-file.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { FileError, FormatError } from "../errors.ts";
import type { UploadFile } from "../publish/hub-upload.ts";
import { checksums } from "../publish/published-documents.ts";
import { describeOutput } from "../quantize/outputs.ts";
import { type CardFile, type CardModel, cardName } from "../report/card/card-model.ts";
import type { CardOptions } from "../report/card/front-matter.ts";
import { type CardSource, draftModels } from "./card-drafts.ts";
import { cardFolder, loadCardSources } from "./report.ts";
import { CARD_PICTURES, CHECKSUMS, requireAsMeasured, writeCard } from "./write-card.ts";

export interface PublicationRequest extends CardOptions {
  /** The folder of the card; by default `card` in the run's directory. */
  readonly output?: string | undefined;
  /** Write the card anew where there is one. */
  readonly force?: boolean | undefined;
}

export interface Publication {
  readonly folder: string;
  /** The models first, the page last. */
  readonly files: readonly UploadFile[];
  /** Whether the card was written now. */
  readonly written: boolean;
}

/** The page of a repository. */
export const README = "README.md";

/**
 * All that is published of runs. A card that is in its folder is taken as it is, a person may have edited its page; else it
 * is written. Throws UsageError, FileError for a model that is gone, FormatError for files that are not those of the card.
 */
export async function publication(
  runs: readonly string[],
  { output, force, ...options }: PublicationRequest,
  note: (text: string) => void,
): Promise<Publication> {
  const { sources, inputs } = await loadCardSources(runs);
  const folder = cardFolder(sources, output);
  const written = force === true || !(await fileExists(join(folder, README)));
  const models = written
    ? (await writeCard(sources, folder, options, { inputs, force }, note)).models
    : await keptCard(sources, folder);
  requireModels(models);
  const files = models.flatMap((model) => model.files);
  if (!written) await requireSums(files, folder);
  const pages: UploadFile[] = [];
  for (const name of [...CARD_PICTURES, CHECKSUMS, README]) {
    const path = join(folder, name);
    if (await fileExists(path)) pages.push({ ...(await describeOutput(path)), publishAs: name });
  }
  return { folder, files: [...files, ...pages], written };
}

/** What a card in its folder lists. */
async function keptCard(sources: readonly CardSource[], folder: string): Promise<CardModel[]> {
  for (const source of sources) await requireAsMeasured(source);
  const models: CardModel[] = [];
  for (const { model, published } of await draftModels(sources)) {
    const documents: CardFile[] = [];
    for (const { publishAs, kind } of published.documents) {
      const path = join(folder, publishAs);
      if (!(await fileExists(path))) throw new FileError(path, `is not there, but the card is; ${ANEW}`);
      documents.push({ ...(await describeOutput(path)), publishAs, kind });
    }
    models.push({ ...model, files: [...model.files, ...documents] });
  }
  return models;
}

const ANEW = "--force writes the card anew, edits of its README.md are lost";

function requireModels(models: readonly CardModel[]): void {
  const lost = models.find(({ files }) => !files.some(({ kind }) => kind === "model"));
  if (lost === undefined) return;
  throw new FileError(
    cardName(lost),
    "its planned file is not in the run any more; give the same prism run again, which makes it as it was",
  );
}

/** The sums that are published are those of the files. */
async function requireSums(files: readonly CardFile[], folder: string): Promise<void> {
  const path = join(folder, CHECKSUMS);
  const linesOf = (text: string) => text.split("\n").sort().join("\n");
  if (linesOf(checksums(files)) === linesOf(await readDocumentText(path))) return;
  throw new FormatError(path, `is of other files than the run has now; ${ANEW}`);
}
