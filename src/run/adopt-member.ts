/**
 * Where the plan of a run is a member of its family, its rows and files are the member's: nothing is made or measured twice,
 * and models/plan.gguf is another name of one file.
 */
import { constants } from "node:fs";
import { copyFile, link, readFile } from "node:fs/promises";
import { fileExists, writeAside } from "../disk/aside-file.ts";
import { hashFile } from "../disk/file-hash.ts";
import { makeFile } from "../evaluate/score-file.ts";
import type { Plan } from "../plan/plan.ts";
import { present } from "../present.ts";
import type { Candidate } from "./candidates.ts";
import { isSameFile, type Member, rowOfPoint } from "./family.ts";
import { writeKept } from "./kept-files.ts";
import { codedSlug } from "./kept-slugs.ts";
import type { OpenRun } from "./open-run.ts";
import type { CodedMember, Run, SweepPoint } from "./run-document.ts";
import { judgeRun, referenceRow } from "./run-rows.ts";
import { saveRun } from "./run-state.ts";
import { standsInParts } from "./split-models.ts";

export interface Planned {
  readonly plan: Plan;
  readonly candidate: Candidate;
}

/** The state with the rows of the plan, and of its codes with error feedback, as far as members of the family are these. */
export async function adoptMembers(
  run: OpenRun,
  begun: Run,
  members: readonly Member[],
  planned: Planned,
  coded: Planned | undefined,
): Promise<Run> {
  const own = members.find(({ plan }) => isSameFile(plan, planned.plan));
  let state: Run =
    begun.family === undefined ? begun : { ...begun, family: { ...begun.family, ...present({ plan: own?.label }) } };
  const point = own && pointOf(state, own.slug);
  if (own !== undefined && point !== undefined) {
    state = await adopt(run, state, { ...planned, slug: own.slug, file: point });
  }
  const same = members.find((member) => member.coded && coded && isSameFile(member.coded, coded.plan));
  const codedPoint = same && pointOf(state, same.slug)?.feedback;
  if (coded !== undefined && same !== undefined && codedPoint !== undefined) {
    state = await adopt(run, state, { ...coded, slug: codedSlug(same.slug), file: codedPoint });
  }
  return state;
}

function pointOf({ sweep }: Run, slug: string): SweepPoint | undefined {
  return sweep?.points.find(({ path }) => path === `models/${slug}.gguf`);
}

interface Adopted extends Planned {
  /** Of the member. */
  readonly slug: string;
  readonly file: SweepPoint | CodedMember;
}

async function adopt(run: OpenRun, state: Run, { plan, candidate, slug, file }: Adopted): Promise<Run> {
  const { directory, request, source, bench } = run;
  const { label, kind, spec } = candidate;
  const stands = (await fileExists(spec.output)) && (await hashFile(spec.output)) === file.sha256;
  if (!stands && !(await standsInParts(run, state, spec.output, file.sha256))) {
    const member = directory.model(slug);
    // of a member in parts there is no whole file any more, and the plan's own are gone
    if (await fileExists(member)) await linkFile(member, spec.output);
    else await makeFile(source.model, { spec, label, keep: true, allowRequantize: request.allowRequantize }, bench);
  }
  const known = state.rows.find((row) => row.label === label);
  if (known !== undefined && known.sha256 === file.sha256) return state;
  const evaluation = await readFile(directory.evaluation(slug), "utf8");
  const kept = await writeKept(state, directory, directory.evaluation(candidate.slug), evaluation);
  const row = { ...rowOfPoint(file, kind === "feedback" ? kind : "plan"), label };
  const others = state.rows.filter((other) => other.kind !== "reference" && other.label !== label);
  const reference = state.rows.find((other) => other.kind === "reference") ?? referenceRow(plan, undefined);
  const rows = [reference, row, ...others];
  const adopted = judgeRun({ ...kept, rows }, request.gates, false);
  await saveRun(directory, adopted);
  return adopted;
}

/** Another name of a file; a copy of it where the file system has one name for a file. */
async function linkFile(path: string, name: string): Promise<void> {
  await writeAside(name, (aside) => link(path, aside).catch(() => copyFile(path, aside, constants.COPYFILE_FICLONE)));
}
