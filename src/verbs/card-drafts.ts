import { isRemote } from "../bytes/remote-name.ts";
import { fileExists } from "../disk/aside-file.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { UsageError } from "../errors.ts";
import { EVALUATION } from "../evaluate/evaluation.ts";
import { readEvaluation } from "../evaluate/read-evaluation.ts";
import { readHeaderMemory } from "../footprint/header-memory.ts";
import { memoryNeeded } from "../footprint/memory-needed.ts";
import { tensorBytes } from "../ggml/tensor-types.ts";
import { readFacts } from "../gguf/facts.ts";
import { openModel } from "../gguf/open.ts";
import { PLAN, type Plan } from "../plan/plan.ts";
import { readPlan } from "../plan/read-plan.ts";
import { present } from "../present.ts";
import { type PublishedFiles, publishedFiles, publishedModel, publishedSlug } from "../publish/published-files.ts";
import { modelKey } from "../report/card/card-groups.ts";
import { type CardModel, cardFileName } from "../report/card/card-model.ts";
import { type HubMetadata, readHubMetadata } from "../report/card/hub-metadata.ts";
import { type PublishedSize, publishedSizes } from "../report/card/member-run.ts";
import type { ReportDocuments } from "../report/html/report-data.ts";
import { type RunDirectory, runDirectory } from "../run/run-state.ts";

export interface CardSource {
  /** The directory of a run. */
  readonly path: string;
  readonly documents: ReportDocuments;
}

/** A run as the card has it, and the small files that go with it. */
export interface DraftModel {
  readonly model: CardModel;
  readonly published: PublishedFiles;
}

interface SizeSource extends PublishedSize {
  readonly source: CardSource;
  readonly directory: RunDirectory;
  readonly plan: Plan;
}

/** The files of all runs: of a run its plan's, or those of its family. */
export async function draftModels(sources: readonly CardSource[]): Promise<DraftModel[]> {
  const sizes: SizeSource[] = [];
  for (const source of sources) sizes.push(...(await sizesOf(source)));
  const folderOf = repositoryFolders(sizes);
  const drafts: DraftModel[] = [];
  const listed = new Set<string>();
  for (const size of sizes) {
    const { source, run, plan, directory, slug } = size;
    const taken = drafts.flatMap(({ model }) => model.files.flatMap(({ tag }) => tag ?? []));
    const { folder, shared, own } = folderOf(size, cardFileName({ run, plan }, taken).name);
    const whole = source.documents.run ?? run;
    const all = await publishedFiles({ run, plan, directory, folder, shared, own, slug, whole, taken });
    const isNew = ({ publishAs }: { readonly publishAs: string }) => !listed.has(publishAs);
    const published = { ...all, files: all.files.filter(isNew), documents: all.documents.filter(isNew) };
    for (const { publishAs } of [...published.files, ...published.documents]) listed.add(publishAs);
    const [path] = await publishedModel(run, directory, slug);
    const header = await readHeader([...(path === undefined ? [] : [path]), plan.source.path]);
    const engine = await readEngine(directory.evaluation(publishedSlug(run, slug)));
    const memory = path === undefined ? undefined : await memoryOf(path);
    const model = { run, plan, files: published.files, ...present({ metadata: header, engine, memory }) };
    drafts.push({ model, published });
  }
  return drafts;
}

/**
 * Folders of the repository: each model has its own where there are several, each run where a model has several (named after
 * its first file), and each file's plan where a model has several files.
 */
function repositoryFolders(sizes: readonly SizeSource[]) {
  const ofModels = new Map<string, string>();
  const ofRuns = new Map<CardSource, string>();
  const keyOf = ({ run, plan }: SizeSource) => modelKey({ run, plan });
  const models = new Set(sizes.map(keyOf));
  return (size: SizeSource, file: string) => {
    const key = keyOf(size);
    const same = sizes.filter((other) => keyOf(other) === key);
    const stem = file.replace(/-PRISM.*$/, "");
    const isTaken = [...ofModels.values()].includes(`${stem}/`);
    const named = isTaken ? `${stem}-${ofModels.size + 1}/` : `${stem}/`;
    const folder = ofModels.get(key) ?? (models.size === 1 ? "" : named);
    ofModels.set(key, folder);
    const own = same.length === 1 ? folder : `${folder}${file.replace(/\.gguf$/, "")}/`;
    const hasRuns = new Set(same.map(({ source }) => source)).size > 1;
    const shared = ofRuns.get(size.source) ?? (hasRuns ? own : folder);
    ofRuns.set(size.source, shared);
    return { folder, shared, own };
  };
}

async function sizesOf(source: CardSource): Promise<SizeSource[]> {
  const { path, documents } = source;
  const { run, plan } = documents;
  if (run === undefined || plan === undefined) {
    throw new UsageError(`${path}: a card is made of a run with its plan; prism run MODEL --out DIR makes one`);
  }
  const directory = runDirectory(path);
  const sizes: SizeSource[] = [];
  for (const size of publishedSizes(run)) {
    const own = size.slug === undefined ? undefined : directory.planOf(size.slug);
    const planned = own === undefined ? plan : readPlan(await readDocumentText(own, PLAN), own);
    sizes.push({ ...size, source, directory, plan: planned });
  }
  return sizes;
}

/** Contexts that a reader wants to know the memory of, tokens. */
const CONTEXTS = [8192, 32768] as const;

/** What a published file takes of a GPU's memory, at contexts that the model was trained on. */
async function memoryOf(path: string): Promise<CardModel["memory"]> {
  const file = await openModel(path);
  await file.close();
  const header = readHeaderMemory(file.model);
  if (typeof header === "string") return undefined;
  const { contextTrain } = readFacts(file.model);
  return CONTEXTS.filter((context) => context <= contextTrain).map((context) => ({
    context,
    totalBytes: memoryNeeded(
      header,
      file.model.tensors.map((tensor) => ({ ...tensor, bytes: tensorBytes(tensor.type, tensor.shape) })),
      { context },
    ).totalBytes,
  }));
}

/** Of the first of these files that is here: the planned file carries what its source said. */
async function readHeader(paths: readonly string[]): Promise<HubMetadata | undefined> {
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
