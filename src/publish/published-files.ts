/**
 * The files of a run as they are published, under which names: the one list that the card shows, `prism report --card`
 * writes the small ones of, and `prism upload` uploads. Models stay where they are.
 */
import { readdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileExists } from "../disk/aside-file.ts";
import { hashFile } from "../disk/file-hash.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { partPaths } from "../gguf/split.ts";
import { PLAN, type Plan } from "../plan/plan.ts";
import { readPlan } from "../plan/read-plan.ts";
import { renderTensorTypes } from "../plan/tensor-types.ts";
import { describeOutput } from "../quantize/outputs.ts";
import { type CardFile, type CardModel, cardFileName, publishedRow } from "../report/card/card-model.ts";
import { codedSlug, KEPT_SLUGS } from "../run/kept-slugs.ts";
import { modelFiles } from "../run/model-files.ts";
import type { RunDirectory } from "../run/run-state.ts";
import { DENSITIES, parseDensities } from "../sensitivity/density-document.ts";
import { publishedDensities, publishedPlan, publishedRun, tellsFolders } from "./published-documents.ts";

/** A small file that is written for the page: what a run knows, cleaned of its machine. */
export interface PublishedDocument {
  /** Path in the repository. */
  readonly publishAs: string;
  readonly kind: Exclude<CardFile["kind"], "model" | "projector" | "imatrix">;
  readonly content: string;
}

export interface PublishedFiles {
  /** Those that lie on the disk as they are published, the models first. */
  readonly files: readonly CardFile[];
  readonly documents: readonly PublishedDocument[];
  /** What is missing or tells more than it should, in words. */
  readonly notes: readonly string[];
}

export interface PublishRequest {
  readonly run: CardModel["run"];
  readonly plan: Plan;
  readonly directory: RunDirectory;
  /** Folder of the model in the repository, where it holds several; "" for its root. */
  readonly folder: string;
  /** Folder of what the run has once, where the repository has several runs; by default that of the model. */
  readonly shared?: string;
  /** Folder of the plans, where it has several; by default that of the model. */
  readonly own?: string;
  /** Of a member of a family: its plan and models. Default: the plan of the run. */
  readonly slug?: string | undefined;
  /** What evaluation.json says, where `run` is only a member's part of it. */
  readonly whole?: CardModel["run"];
  /** Tags that other models of the repository have. */
  readonly taken: readonly string[];
}

/** All that is published of a run. Throws FileError, FormatError. */
export async function publishedFiles(request: PublishRequest): Promise<PublishedFiles> {
  const { run, plan, directory, folder, shared = folder, own = folder, slug, whole = run } = request;
  const at = (name: string) => `${own}${name}`;
  const beside = (name: string) => `${shared}${name}`;
  const model = await modelFile(request);
  const projectors = await projectorFiles(directory.models, (name) => `${folder}${name}`);
  const imatrix = await imatrixFile(plan, beside);
  const coded = await codedPlan(run, directory, slug);
  const written = [plan, ...(coded === undefined ? [] : [coded])];
  const documents: PublishedDocument[] = [
    { publishAs: at("plan.json"), kind: "plan", content: publishedPlan(plan, imatrix.name) },
    ...(coded === undefined
      ? []
      : [{ publishAs: at("plan-feedback.json"), kind: "plan" as const, content: publishedPlan(coded, imatrix.name) }]),
    { publishAs: at("tensor-types.txt"), kind: "recipe", content: renderTensorTypes(plan) },
    ...(await densities(directory, beside)),
    { publishAs: beside("evaluation.json"), kind: "evaluation", content: publishedRun(whole) },
  ];
  return {
    files: [...model, ...projectors, ...imatrix.files],
    documents,
    notes: [...imatrix.notes, ...written.flatMap(toldPaths)],
  };
}

async function modelFile({ run, plan, directory, folder, taken, slug }: PublishRequest): Promise<CardFile[]> {
  const paths = await publishedModel(run, directory, slug);
  const { name, tag } = cardFileName({ run, plan }, taken);
  const names = partPaths(name, paths.length);
  return Promise.all(
    paths.map(async (path, index) => ({
      ...(await describeOutput(path)),
      publishAs: `${folder}${names[index]}`,
      tag,
      kind: "model" as const,
    })),
  );
}

/** The file of a run that is published, or its parts: the one with other codes where it is no worse; none: it is gone. */
export function publishedModel(run: CardModel["run"], directory: RunDirectory, slug?: string): Promise<string[]> {
  return modelFiles(directory, publishedSlug(run, slug));
}

/** What the file that is published is called in its run. `slug`: of a member of a family. */
export function publishedSlug(run: CardModel["run"], slug: string = KEPT_SLUGS.plan): string {
  return publishedRow(run)?.kind === "feedback" ? codedSlug(slug) : slug;
}

async function projectorFiles(models: string, at: (name: string) => string): Promise<CardFile[]> {
  const names = await readdir(models).catch(() => []);
  const projectors = names.filter((name) => /mmproj.*\.gguf$|\.mmproj$/i.test(name)).sort();
  return Promise.all(
    projectors.map(async (name) => ({
      ...(await describeOutput(join(models, name))),
      publishAs: at(name),
      kind: "projector" as const,
    })),
  );
}

interface FoundImatrix {
  readonly files: readonly CardFile[];
  /** As the plan names it once it is published. */
  readonly name?: string;
  readonly notes: readonly string[];
}

/** The importance matrix of a plan, where it still lies where the plan says, as it was. */
async function imatrixFile({ imatrix }: Plan, at: (name: string) => string): Promise<FoundImatrix> {
  if (imatrix === undefined) return { files: [], notes: [] };
  const { path, sha256 } = imatrix;
  if (!(await fileExists(path))) return lost(`${path} is not there any more`);
  if ((await hashFile(path)) !== sha256) return lost(`${path} is not what the plan was made with any more`);
  // a name that llama.cpp takes for no model
  const name = `imatrix${extname(path) === ".dat" ? ".dat" : ".gguf"}`;
  return { files: [{ ...(await describeOutput(path)), publishAs: at(name), kind: "imatrix" }], name, notes: [] };
}

function lost(why: string): FoundImatrix {
  return { files: [], notes: [`the importance matrix is not among the files: ${why}`] };
}

/** The plan of the file with error feedback, where that is published. */
async function codedPlan(
  run: CardModel["run"],
  directory: RunDirectory,
  slug: string | undefined,
): Promise<Plan | undefined> {
  const path = directory.planOf(publishedSlug(run, slug));
  if (publishedRow(run)?.kind !== "feedback" || !(await fileExists(path))) return undefined;
  return readPlan(await readDocumentText(path, PLAN), path);
}

async function densities({ probes }: RunDirectory, at: (name: string) => string): Promise<PublishedDocument[]> {
  if (!(await fileExists(probes))) return [];
  const document = parseDensities(probes, await readDocumentText(probes, DENSITIES));
  return [{ publishAs: at("probes.json"), kind: "probes", content: publishedDensities(document) }];
}

/** Strings that llama-quantize wrote into the file, where they name a folder of this machine. */
function toldPaths({ imatrix }: Plan): string[] {
  if (imatrix === undefined) return [];
  const told = [
    ["quantize.imatrix.file", imatrix.file],
    ["quantize.imatrix.dataset", imatrix.dataset],
  ] as const;
  return told
    .filter(([, value]) => tellsFolders(value))
    .map(
      ([key, value]) =>
        `the model's header says ${key} = ${value}, a path of this machine; with a relative --out and --imatrix it would not`,
    );
}
