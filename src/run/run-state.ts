/** The run's directory: state.json read, checked and written after every step; --force empties it of a run's files. */
import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileExists, writeFileAside } from "../disk/aside-file.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { readDocument } from "../documents/read-document.ts";
import { FormatError, UsageError } from "../errors.ts";
import { PRISM_VERSION } from "../version.ts";
import { type Finished, firstDifference } from "./asked.ts";
import type { RunAsked } from "./asked-document.ts";
import { RUN, type Run } from "./run-document.ts";

export interface RunDirectory {
  readonly path: string;
  /** Says which process works here. */
  readonly lock: string;
  readonly state: string;
  readonly analysis: string;
  /** The importance matrix, where the run makes it. */
  readonly imatrix: string;
  /** Densities that were probed, as `--sensitivity` takes them. */
  readonly probes: string;
  /** Measured probes, where nothing may be kept in the cache. */
  readonly measured: string;
  readonly plan: string;
  readonly plans: string;
  readonly models: string;
  /** The reference's logits, where nothing may be kept in the cache. Removed when the run ends. */
  readonly scratch: string;
  model(slug: string): string;
  /** The plan of a point of a sweep. */
  planOf(slug: string): string;
  readonly evaluations: string;
  evaluation(slug: string): string;
}

export function runDirectory(path: string): RunDirectory {
  return {
    path,
    lock: join(path, "run.lock"),
    state: join(path, "state.json"),
    analysis: join(path, "analysis.json"),
    imatrix: join(path, "imatrix.gguf"),
    probes: join(path, "probes.json"),
    measured: join(path, "probes"),
    plans: join(path, "plans"),
    models: join(path, "models"),
    plan: join(path, "plans", "plan.json"),
    scratch: join(path, "prism-scratch"),
    planOf: (slug) => join(path, "plans", `${slug}.json`),
    model: (slug) => join(path, "models", `${slug}.gguf`),
    evaluations: join(path, "evaluations"),
    evaluation: (slug) => join(path, "evaluations", `${slug}.json`),
  };
}

/** Every file a run keeps in its directory; not its report and its card, which are made of them. */
export async function runFiles({
  state,
  analysis,
  imatrix,
  probes,
  models,
  plans,
  evaluations,
}: RunDirectory): Promise<string[]> {
  const files = [state, analysis, imatrix, probes];
  for (const folder of [models, plans, evaluations]) {
    const names = await readdir(folder).catch(() => []);
    files.push(...names.map((name) => join(folder, name)));
  }
  return files;
}

/**
 * The state to go on from, or a fresh one, saved. `force` begins anew, whatever the directory holds. Otherwise throws
 * UsageError where the directory holds a run that was asked something else, FormatError for a damaged state.
 */
export async function openRunState(directory: RunDirectory, asked: RunAsked, force: boolean): Promise<Run> {
  const found = force ? undefined : await findRun(directory, asked);
  if (found === undefined) await emptyRun(directory, force);
  const state: Run =
    found === undefined
      ? {
          schema: "prism.run/1",
          prismVersion: PRISM_VERSION,
          createdAt: new Date().toISOString(),
          asked,
          rows: [],
          gates: [],
          warnings: [],
        }
      : { ...found, asked };
  await saveRun(directory, state);
  return state;
}

async function findRun(directory: RunDirectory, asked: RunAsked): Promise<Run | undefined> {
  if (!(await fileExists(directory.state))) return undefined;
  const text = await readDocumentText(directory.state, RUN);
  const found = parseRun(text, directory.state);
  const finished = finishedOf(found);
  const difference = firstDifference(found.asked, asked, finished);
  if (difference === undefined) return found;
  // Nothing that depends on it was finished.
  if (finished === "analysis" && !(await fileExists(directory.analysis))) return undefined;
  throw new UsageError(
    `${directory.path} holds a run that was asked something else: ${difference}; give another --out, or --force to replace it`,
  );
}

/** Layers on the GPUs of a run that is gone on with on the same devices; undefined where there is none to go on with. */
export async function layersBefore(
  { state }: RunDirectory,
  devices: readonly string[] | undefined,
): Promise<number | undefined> {
  if (devices === undefined || !(await fileExists(state))) return undefined;
  const { asked } = parseRun(await readDocumentText(state, RUN), state);
  return asked.devices?.join() === devices.join() ? asked.gpuLayers : undefined;
}

/** How far a run came. Whether a refinement was accepted depends on the budget, as rows do. */
function finishedOf({ rows, sweep, refinement }: Run): Finished {
  if (rows.length > 0 || refinement !== undefined) return "rows";
  return sweep === undefined ? "analysis" : "points";
}

/** Names a run gives the models of a family (family.ts). */
export const FAMILY_FILES = /^plan-\d[\d.]*bpw(-feedback)?\.gguf$/;

/** Names a run gives its models, plans and evaluations (candidates.ts, family.ts). */
export const RUN_FILES =
  /^(plan|plan-feedback|plan-\d[\d.]*bpw|plan-\d[\d.]*bpw-feedback|preset-\w+|plain-\w+|uniform-\w+|uniform-s|unguarded|point-\d+|published-\d+|template-\d+|rival-\d+|shuffle-\d+)\.(gguf|json)$/;

/** Parts of those that are kept (split-models.ts). */
const PART_FILES = /^(plan|plan-\d[\d.]*bpw)(-feedback)?-\d{5}-of-\d{5}\.gguf$/;

/**
 * With `force`, remove what a former run left, and nothing that could be somebody else's; without it, check that there is
 * nothing. The analysis goes first: beside a fresh state it would be taken for this run's.
 */
async function emptyRun(directory: RunDirectory, force: boolean): Promise<void> {
  if (!force) {
    for (const path of [directory.analysis, directory.plan, directory.model("plan")]) {
      if (!(await fileExists(path))) continue;
      throw new UsageError(
        `${path} is there but ${directory.state} is not: no run that can go on; give another --out, or --force to replace what is there`,
      );
    }
    return;
  }
  await rm(directory.analysis, { force: true });
  await rm(directory.imatrix, { force: true });
  await rm(directory.probes, { force: true });
  await rm(directory.scratch, { recursive: true, force: true });
  for (const folder of ["models", "evaluations", "plans"]) {
    const path = join(directory.path, folder);
    const names = (await fileExists(path)) ? await readdir(path) : [];
    for (const name of names.filter((name) => RUN_FILES.test(name) || PART_FILES.test(name)))
      await rm(join(path, name), { force: true });
  }
}

/** Read a run document. Throws FormatError for another file, another version, or one that is not as it was written. */
export function parseRun(text: string, path: string): Run {
  const { seal, ...run } = readDocument(text, path, RUN);
  if (seal === undefined || seal === sealOf(run)) return run;
  throw new FormatError(
    path,
    `${RUN.noun} that was changed after it was written (its seal is of another content); put it back as it was, or ${RUN.remedy}`,
  );
}

export async function saveRun(directory: RunDirectory, run: Run): Promise<void> {
  await writeFileAside(directory.state, `${JSON.stringify({ ...run, seal: sealOf(run) }, null, 2)}\n`);
}

/** Numbers and the order of keys survive JSON, so that it is the same of what was written and of what is read. */
function sealOf(run: Run): string {
  return createHash("sha256").update(JSON.stringify(run)).digest("hex");
}
