/** The card of runs as a folder to upload: README.md and its picture; the models stay where they are. */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isRemote } from "../bytes/remote-name.ts";
import { fileExists, writeAside, writeFileAside } from "../disk/aside-file.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { BackendError, FormatError, UsageError } from "../errors.ts";
import { EVALUATION } from "../evaluate/evaluation.ts";
import { readEvaluation } from "../evaluate/read-evaluation.ts";
import { openModel } from "../gguf/open.ts";
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

/** Write the card of runs to a folder. Throws UsageError for what is no run with a plan, and as checkOutputs does. */
export async function writeCard(
  sources: readonly CardSource[],
  folder: string,
  options: CardOptions,
  checks: OutputChecks,
  note: (text: string) => void,
): Promise<CardResult> {
  const [readme, svg, png] = ["README.md", `${PICTURE}.svg`, `${PICTURE}.png`].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await checkOutputs([readme, svg, png], checks);
  for (const source of sources) await requireAsMeasured(source);
  const models: CardModel[] = [];
  for (const source of sources) {
    const taken = models.flatMap(({ files }) => files.flatMap(({ tag }) => tag ?? []));
    models.push(await cardModel(source, sources.length > 1, taken));
  }
  const chart = cardChart(models);
  const written = [readme];
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
  for (const text of missing(models, options)) note(`! ${text}`);
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

async function cardModel(
  { path, documents: { run, plan } }: CardSource,
  family: boolean,
  taken: readonly string[],
): Promise<CardModel> {
  if (run === undefined || plan === undefined) {
    throw new UsageError(`${path}: a card is made of a run with its plan; prism run MODEL --out DIR makes one`);
  }
  const directory = runDirectory(path);
  const slug = publishedRow(run)?.kind === "feedback" ? KEPT_SLUGS.feedback : KEPT_SLUGS.plan;
  const published = directory.model(slug);
  const metadata = await readMetadata([published, plan.source.path]);
  const engine = await readEngine(directory.evaluation(slug));
  const { name, tag } = cardFileName({ run, plan }, taken);
  const projectors = await projectorNames(directory.models);
  // projectors of several models have one name
  const prefix = family && projectors.length > 0 ? `${name.replace(/\.gguf$/, "")}/` : "";
  const files: CardFile[] = [];
  if (await fileExists(published)) {
    files.push({ ...(await describeOutput(published)), publishAs: `${prefix}${name}`, tag, kind: "model" });
  }
  for (const projector of projectors) {
    const output = await describeOutput(join(directory.models, projector));
    files.push({ ...output, publishAs: `${prefix}${projector}`, kind: "projector" });
  }
  return { run, plan, files, ...(metadata && { metadata }), ...(engine && { engine }) };
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

async function projectorNames(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => /mmproj.*\.gguf$|\.mmproj$/i.test(name)).sort();
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
