/** The card of runs as a folder to upload: README.md, its picture and the small files; the models stay where they are. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeAside, writeFileAside } from "../disk/aside-file.ts";
import { BackendError, FormatError } from "../errors.ts";
import { checksums } from "../publish/published-documents.ts";
import type { PublishedDocument } from "../publish/published-files.ts";
import { describeOutput } from "../quantize/outputs.ts";
import { groupModels, pictureRows, sizeName } from "../report/card/card-groups.ts";
import { type CardFile, type CardModel, cardName } from "../report/card/card-model.ts";
import type { CardOptions } from "../report/card/front-matter.ts";
import { type CardPicture, renderCard } from "../report/card/render-card.ts";
import type { Chart } from "../report/charts/chart.ts";
import { familyParetoChart } from "../report/charts/family-pareto.ts";
import { paretoChart } from "../report/charts/pareto.ts";
import { chartEntry } from "../report/charts/registry.ts";
import { renderSvg } from "../report/charts/render-svg.ts";
import { renderPng } from "../report/png.ts";
import { changedFiles } from "../run/kept-files.ts";
import { runDirectory } from "../run/run-state.ts";
import { type CardSource, draftModels } from "./card-drafts.ts";
import { checkOutputs, type OutputChecks } from "./check-outputs.ts";

export interface CardResult {
  readonly written: readonly string[];
  readonly models: readonly CardModel[];
}

/** File in which a card's picture stands. */
const PICTURE = "pareto";

/** Its files; without an image library there is no PNG, and without enough rows neither. */
export const CARD_PICTURES = [`${PICTURE}.svg`, `${PICTURE}.png`] as const;

/** The hashes of all that is published but the page itself. */
export const CHECKSUMS = "SHA256SUMS";

/** Write the card of runs to a folder. Throws UsageError for what is no run with a plan, and as checkOutputs does. */
export async function writeCard(
  sources: readonly CardSource[],
  folder: string,
  options: CardOptions,
  checks: OutputChecks,
  note: (text: string) => void,
): Promise<CardResult> {
  const inFolder = (name: string) => join(folder, name);
  const [readme, svg, png] = ["README.md", `${PICTURE}.svg`, `${PICTURE}.png`].map(inFolder) as [
    string,
    string,
    string,
  ];
  await checkOutputs([readme, svg, png, inFolder(CHECKSUMS)], checks);
  for (const source of sources) await requireAsMeasured(source);
  const drafts = await draftModels(sources);
  const documents = drafts.flatMap(({ published }) => published.documents);
  const small = documents.map(({ publishAs }) => inFolder(publishAs));
  await checkOutputs(small, checks);
  const models: CardModel[] = [];
  for (const { model, published } of drafts) {
    models.push({ ...model, files: [...model.files, ...(await writeDocuments(published.documents, folder))] });
  }
  const files = models.flatMap((model) => model.files);
  await writeFileAside(inFolder(CHECKSUMS), checksums(files));
  const chart = cardChart(models);
  const written = [readme, ...small, inFolder(CHECKSUMS)];
  let picture: CardPicture | undefined;
  if (chart !== undefined) {
    await writeFileAside(svg, renderSvg(chart));
    written.push(svg);
    const raster = await renderPng(chart).catch((error: unknown) => {
      if (!(error instanceof BackendError)) throw error;
      note(`! ${error.message}; the card shows the SVG`);
    });
    if (raster !== undefined) {
      await writeAside(png, (aside) => writeFile(aside, raster));
      written.push(png);
    }
    const { title, description } = chart;
    picture = { file: `${PICTURE}.${raster === undefined ? "svg" : "png"}`, title, description };
  }
  const notes = [...missing(models, options), ...drafts.flatMap(({ published }) => published.notes)];
  for (const text of new Set(notes)) note(`! ${text}`);
  await writeFileAside(readme, renderCard(models, picture, options));
  return { written, models };
}

/** Throws FormatError where the files to publish are not those that were measured. */
export async function requireAsMeasured({ path, documents: { run } }: CardSource): Promise<void> {
  const directory = runDirectory(path);
  const [first, ...more] = run === undefined ? [] : await changedFiles(run, directory);
  if (first === undefined) return;
  const others = more.length === 0 ? "" : ` (and ${more.join(", ")})`;
  throw new FormatError(
    join(directory.path, first),
    `was changed after the run measured it${others}; delete what was changed and give the same prism run again, which makes it as it was, or begin anew with its --force`,
  );
}

/** One front for each model, whatever its files are of. */
function cardChart(models: readonly CardModel[]): Chart | undefined {
  const groups = groupModels(models);
  const [group, ...others] = groups;
  const [only] = models;
  if (models.length === 1 && only !== undefined) return chartEntry("pareto").draw({ run: only.run }, {});
  if (group !== undefined && others.length === 0) return paretoChart({ rows: pictureRows(group) });
  return familyParetoChart(groups.map((one) => ({ name: one.name, run: { rows: pictureRows(one) } })));
}

/** The small files of a card, as they are written into its folder. */
async function writeDocuments(documents: readonly PublishedDocument[], folder: string): Promise<CardFile[]> {
  const files: CardFile[] = [];
  for (const { publishAs, kind, content } of documents) {
    const path = join(folder, publishAs);
    await writeFileAside(path, content);
    files.push({ ...(await describeOutput(path)), publishAs, kind });
  }
  return files;
}

/** What the Hub asks for and nobody said, and what was guessed. */
function missing(models: readonly CardModel[], { baseModel, license }: CardOptions): string[] {
  const known = models.flatMap(({ metadata }) => metadata ?? []);
  const keys = [...new Set(known.flatMap(({ baseModelKeys }) => baseModelKeys))];
  const inherited = keys.filter((key) => key.startsWith("general.base_model"));
  const lost = models.filter(({ files }) => !files.some(({ kind }) => kind === "model"));
  return [
    ...(license === undefined && !known.some((metadata) => metadata.license !== undefined)
      ? ["the source names no license; --license ID does"]
      : []),
    ...(baseModel === undefined && keys.length === 0
      ? ["the source doesn't say where on the Hub it is from; --base-model OWNER/NAME does"]
      : []),
    ...(baseModel === undefined && inherited.length > 0
      ? [
          `base_model is what ${inherited[0]} says, which may be what the source was itself made from; --base-model OWNER/NAME decides`,
        ]
      : []),
    ...lost.map(
      (model) =>
        `the planned file of ${cardName(model)} (${sizeName(model)}) is not in its run any more: the card lists no file of it`,
    ),
  ];
}
