/** A run whose time is over (`--max-time`): its documents made complete of what was finished, and how a later one goes on. */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileExists } from "../disk/aside-file.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { RUN_STAGES } from "./estimate.ts";
import { judgeFamily } from "./family-verdict.ts";
import { isAlwaysKept, KEPT_SLUGS } from "./kept-slugs.ts";
import type { OpenRun } from "./open-run.ts";
import { RUN, type Run, type RunRow, type Stopped } from "./run-document.ts";
import { collectOutputs, measuredFiles } from "./run-outputs.ts";
import { judgeRun } from "./run-rows.ts";
import { parseRun, RUN_FILES, type RunDirectory, saveRun } from "./run-state.ts";
import { refreshSweep } from "./sweep.ts";

/** How far a run came. */
export interface Course {
  stage: Stopped["stage"];
  /** Of the rows that it makes, once they are known. */
  labels: readonly string[];
}

const STAGES = Object.values(RUN_STAGES);

/** What the bench tells of stages is noted too. */
export function noteStages(course: Course, { progress }: Pick<OpenRun["bench"], "progress">): typeof progress {
  return {
    note: (text) => progress.note(text),
    steps: (...step) => progress.steps(...step),
    stages: (ahead) => progress.stages?.(ahead),
    begin(name, part) {
      course.stage = STAGES.find((stage) => stage === name) ?? course.stage;
      progress.begin?.(name, part);
    },
  };
}

/** End a run with what its state knows to be finished. The files of controls that are not asked for are removed. */
export async function stopRun(
  { request, source, directory }: Pick<OpenRun, "request" | "source" | "directory">,
  course: Course,
): Promise<Run> {
  const saved = parseRun(await readDocumentText(directory.state, RUN), directory.state);
  // it was looked through once more
  if (saved.finishedAt !== undefined) return saved;
  const missing = course.labels.filter((label) => !saved.rows.some((row) => row.label === label));
  const maxTime = request.deadline?.text ?? "";
  const stopped: Stopped = { ...(saved.stopped ?? { stage: course.stage, maxTime }), missing };
  if (!request.keepModels) await removeUnjudged(directory, saved);
  const kept = saved.rows.flatMap(({ kind, label }) => (isAlwaysKept(kind) ? [{ label, slug: KEPT_SLUGS[kind] }] : []));
  const { path, arch } = source.model.model;
  const isMade = (await fileExists(directory.models)) && (await fileExists(directory.plans));
  const outputs = isMade ? await collectOutputs({ path, arch }, directory, measuredFiles(saved, kept)) : [];
  const judged = refreshSweep(judgeFamily(judgeRun({ ...saved, stopped, outputs }, request.gates, false)));
  await saveRun(directory, judged);
  return judged;
}

/** Remove the models of the directory that are no result: those of controls, and of what was only tried. */
async function removeUnjudged(directory: RunDirectory, { rows, kept = [], sweep }: Run): Promise<void> {
  const slugs = rows.flatMap(({ kind }) => (isAlwaysKept(kind) ? [KEPT_SLUGS[kind]] : []));
  const members = (sweep?.points ?? []).flatMap(({ path, feedback }) => [path, feedback?.path]);
  const made = kept
    .map(({ path }) => path)
    .filter((path) => Object.values(KEPT_SLUGS).some((slug) => isOf(path, slug)));
  const results = new Set([...slugs.map((slug) => `models/${slug}.gguf`), ...members, ...made]);
  const names = await readdir(directory.models).catch(() => []);
  for (const name of names.filter((one) => RUN_FILES.test(one) && !results.has(`models/${one}`))) {
    await rm(join(directory.models, name), { force: true });
  }
}

function isOf(path: string, slug: string): boolean {
  return path === `models/${slug}.gguf`;
}

const STAYING: readonly RunRow["kind"][] = ["reference", "preset"];

/**
 * The state that a run goes on from: one that was stopped goes on like one that was interrupted, and where its search was
 * cut short, the size it settled on is not the last word.
 */
export function goOnFrom(state: Run): Run {
  const { stopped, outputs, ...rest } = state;
  if (stopped === undefined) return state;
  if (!stopped.cutShort) return rest;
  const { family: _, target: __, ...unsettled } = rest;
  // the plan and its controls are of that size; presets stand beside the sizes of a list
  const rows = rest.asked.sweep === undefined ? [] : rest.rows.filter(({ kind }) => STAYING.includes(kind));
  return { ...unsettled, rows: rows.length > 1 ? rows : [] };
}
