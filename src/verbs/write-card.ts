/** The card of runs as a folder to upload: README.md, its picture and the small files; the models stay where they are. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isRemote } from "../bytes/remote-name.ts";
import { fileExists, writeAside, writeFileAside } from "../disk/aside-file.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { BackendError, FormatError, UsageError } from "../errors.ts";
import { EVALUATION } from "../evaluate/evaluation.ts";
import { readEvaluation } from "../evaluate/read-evaluation.ts";
import { openModel } from "../gguf/open.ts";
import { checksums } from "../publish/published-documents.ts";
import {
  type PublishedDocument,
  type PublishedFiles,
  publishedFiles,
  publishedModel,
} from "../publish/published-files.ts";
import { describeOutput } from "../quantize/outputs.ts";
import { type CardFile, type CardModel, cardFileName, cardName, publishedRow } from "../report/card/card-model.ts";
import type { CardOptions } from "../report/card/front-matter.ts";
import { type HubMetadata, readHubMetadata } from "../report/card/hub-metadata.ts";
import { type CardPicture, renderCard } from "../report/card/render-card.ts";
import type { Chart } from "../report/charts/chart.ts";
import { familyParetoChart } from "../report/charts/family-pareto.ts";
import { chartEntry } from "../report/charts/registry.ts";
import { renderSvg } from "../report/charts/render-svg.ts";
import type { ReportDocuments } from "../report/html/report-data.ts";
import { renderPng } from "../report/png.ts";
import { changedFiles } from "../run/kept-files.ts";
import { KEPT_SLUGS } from "../run/kept-slugs.ts";
import { runDirectory } from "../run/run-state.ts";
import { checkOutputs, type OutputChecks } from "./check-outputs.ts";

export interface CardSource {
  /** The directory of a run. */
  readonly path: string;
  readonly documents: ReportDocuments;
}

export interface CardResult {
  readonly written: readonly string[];
  readonly models: readonly CardModel[];
}

/** File in which a card's picture stands. */
const PICTURE = "pareto";

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
  for (const source of sources) await requireAsMeasured(source);
  const drafts: DraftModel[] = [];
  for (const source of sources) {
    const taken = drafts.flatMap(({ model }) => model.files.flatMap(({ tag }) => tag ?? []));
    drafts.push(await draftModel(source, sources.length > 1, taken));
  }
  const documents = drafts.flatMap(({ published }) => published.documents);
  const small = [...documents.map(({ publishAs }) => publishAs), CHECKSUMS].map(inFolder);
  await checkOutputs([readme, svg, png, ...small], checks);
  const models: CardModel[] = [];
  for (const { model, published } of drafts) {
    models.push({ ...model, files: [...model.files, ...(await writeDocuments(published.documents, folder))] });
  }
  const files = models.flatMap((model) => model.files);
  await writeFileAside(inFolder(CHECKSUMS), checksums(files));
  const chart = cardChart(models);
  const written = [readme, ...small];
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
async function requireAsMeasured({ path, documents: { run } }: CardSource): Promise<void> {
  const directory = runDirectory(path);
  const [first, ...more] = run === undefined ? [] : await changedFiles(run, directory);
  if (first === undefined) return;
  const others = more.length === 0 ? "" : ` (and ${more.join(", ")})`;
  throw new FormatError(
    join(directory.path, first),
    `was changed after the run measured it${others}; delete what was changed and give the same prism run again, which makes it as it was, or begin anew with its --force`,
  );
}

function cardChart(models: readonly CardModel[]): Chart | undefined {
  const [only] = models;
  if (models.length === 1 && only !== undefined) return chartEntry("pareto").draw({ run: only.run }, {});
  return familyParetoChart(models.map((model) => ({ name: cardName(model), run: model.run })));
}

/** A run as the card has it, and the small files that go with it. */
interface DraftModel {
  readonly model: CardModel;
  readonly published: PublishedFiles;
}

async function draftModel(
  { path, documents: { run, plan } }: CardSource,
  family: boolean,
  taken: readonly string[],
): Promise<DraftModel> {
  if (run === undefined || plan === undefined) {
    throw new UsageError(`${path}: a card is made of a run with its plan; prism run MODEL --out DIR makes one`);
  }
  const directory = runDirectory(path);
  // documents and projectors of several models have the same names
  const folder = family ? `${cardFileName({ run, plan }, taken).name.replace(/\.gguf$/, "")}/` : "";
  const published = await publishedFiles({ run, plan, directory, folder, taken });
  const metadata = await readMetadata([publishedModel(run, directory), plan.source.path]);
  const slug = publishedRow(run)?.kind === "feedback" ? KEPT_SLUGS.feedback : KEPT_SLUGS.plan;
  const engine = await readEngine(directory.evaluation(slug));
  const model = { run, plan, files: published.files, ...(metadata && { metadata }), ...(engine && { engine }) };
  return { model, published };
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

/** Of the first of these files that is here: the planned file carries what its source said. */
async function readMetadata(paths: readonly string[]): Promise<HubMetadata | undefined> {
  for (const path of paths) {
    if (isRemote(path) || !(await fileExists(path))) continue;
    const file = await openModel(path);
    await file.close();
    return readHubMetadata(file.model.metadata);
  }
  return undefined;
}

async function readEngine(path: string): Promise<CardModel["engine"]> {
  if (!(await fileExists(path))) return undefined;
  return readEvaluation(await readDocumentText(path, EVALUATION), path).engine;
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
      (model) => `the planned file of ${cardName(model)} is not in its run any more: the card lists no file of it`,
    ),
  ];
}
