/** A family's run as each of its files sees it: that file is the plan, judged anew against the presets; the controls are of one. */
import { membersOf, rowOfPoint } from "../../run/family.ts";
import type { Run, RunRow, SweepPoint } from "../../run/run-document.ts";
import { FEEDBACK_LABEL } from "../../run/run-feedback.ts";
import { judgeRun } from "../../run/run-rows.ts";

/** What a file is compared with whatever its size; the controls of a plan's inner workings have the plan's size. */
const COMMON_KINDS: readonly RunRow["kind"][] = ["preset", "published", "uniform"];

export interface PublishedSize {
  readonly run: Run;
  /** Of the member's plan and models; absent for the plan of the run. */
  readonly slug?: string;
}

/** The sizes that a run publishes, smallest first: its plan, or the members of its family. */
export function publishedSizes(run: Run): PublishedSize[] {
  const members = membersOf(run);
  if (members.length === 0) return [{ run }];
  const { sweep: _, family, ...own } = run;
  const sizes = members.map((member): PublishedSize & { readonly fileBytes: number } => ({
    run: member.label === family?.plan ? own : memberRun(own, member),
    slug: member.plan.replace(/^plans\/|\.json$/g, ""),
    fileBytes: member.fileBytes,
  }));
  const plan = run.rows.find(({ kind }) => kind === "plan");
  if (family?.plan === undefined && plan !== undefined)
    sizes.push({ run: own, slug: "plan", fileBytes: plan.fileBytes });
  return sizes
    .sort((a, b) => a.fileBytes - b.fileBytes)
    .map(({ run, slug }) => ({ run, ...(slug === undefined || slug === "plan" ? {} : { slug }) }));
}

function memberRun(run: Omit<Run, "sweep" | "family">, member: SweepPoint): Run {
  const { feedback } = member;
  const rows: RunRow[] = [
    ...run.rows.filter(({ kind }) => kind === "reference"),
    { ...rowOfPoint(member, "plan"), label: "plan" },
    ...(feedback === undefined ? [] : [{ ...rowOfPoint(feedback, "feedback"), label: FEEDBACK_LABEL }]),
    ...run.rows.filter(({ kind }) => COMMON_KINDS.includes(kind)),
  ];
  return judgeRun({ ...run, rows }, [], false);
}
