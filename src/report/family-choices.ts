/** The files of a family that a person chooses between: of each size the better codes, with what they are worth. */
import { baseName } from "../base-name.ts";
import { codedLabel, membersOf, rowOfPoint } from "../run/family.ts";
import { changeFrom, distanceOf } from "../run/row-distance.ts";
import type { CodedMember, Run, RunRow, SweepPoint } from "../run/run-document.ts";

export interface Choice {
  /** Its name in the run's folder of models. */
  readonly file: string;
  readonly row: RunRow;
  /** Label of the member's point, whichever codes it has. */
  readonly member: string;
  /** The preset nearest in size that it is judged against. */
  readonly preset: string | undefined;
  readonly verdict: string | undefined;
  /** Its KLD is so much more than that preset's, percent. */
  readonly change: number | undefined;
  /** It is the run's plan, which the controls are of. */
  readonly isPlan: boolean;
}

/** All files of a family that are to be taken away, smallest first; none of a run that keeps one plan. */
export function choicesOf(run: Pick<Run, "rows" | "sweep" | "family">): Choice[] {
  return membersOf(run).map((member): Choice => {
    const file = publishedCodes(member);
    const row = rowOfPoint(file, file === member ? "plan" : "feedback");
    const { preset, verdict } = file;
    return {
      file: baseName(file.path ?? ""),
      row,
      member: member.label,
      preset,
      verdict,
      change: changeFrom(
        run.rows.find(({ kind, label }) => kind === "preset" && label === preset),
        row,
      ),
      isPlan: member.label === run.family?.plan,
    };
  });
}

/** Of a member, the codes that are published: those with error feedback where they are there and no worse. */
export function publishedCodes(member: SweepPoint): SweepPoint | CodedMember {
  const { feedback } = member;
  const [planned, chosen] = [distanceOf(member), feedback && distanceOf(feedback)];
  return feedback !== undefined && planned !== undefined && chosen !== undefined && chosen <= planned
    ? feedback
    : member;
}

/** "beats Q4_K_M (KLD -24 %)": against the preset nearest in size. */
export function verdictWithChange({ verdict, change }: Pick<Choice, "verdict" | "change">): string {
  if (verdict === undefined) return "–";
  if (change === undefined) return verdict;
  return `${verdict} (KLD ${change < 0 ? "" : "+"}${change.toFixed(Math.abs(change) < 10 ? 1 : 0)} %)`;
}

/** The rows of a run under the names that a family's have: the plan is one of its members. */
export function namedRows({ rows, family }: Pick<Run, "rows" | "family">): RunRow[] {
  const plan = family?.plan;
  if (plan === undefined) return [...rows];
  return rows.map((row) => {
    if (row.kind === "plan") return { ...row, label: plan };
    return row.kind === "feedback" ? { ...row, label: codedLabel(plan) } : row;
  });
}
