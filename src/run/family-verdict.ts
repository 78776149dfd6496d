/** What each file of a family is worth against the preset nearest in size, over the same chunks (verdict.ts). */
import { present } from "../present.ts";
import { membersOf } from "./family.ts";
import { kldDifference } from "./row-distance.ts";
import type { CodedMember, Run, RunRow, SweepPoint } from "./run-document.ts";
import { outcome } from "./verdict.ts";
import type { RowVerdict } from "./verdict-codes.ts";

const WORDS: Readonly<Record<RowVerdict, (preset: string) => string>> = {
  wins: (preset) => `beats ${preset}`,
  matches: (preset) => `is as good as the larger ${preset}`,
  ties: (preset) => `ties with ${preset}`,
  loses: (preset) => `loses to ${preset}`,
  "larger-file": (preset) => `${preset} is larger and better`,
  "smaller-file": (preset) => `${preset} is smaller and worse`,
  "no-verdict": () => "no verdict",
};

/** The state with every member judged by the rows that are there. */
export function judgeFamily(state: Run): Run {
  if (state.sweep === undefined || membersOf(state).length === 0) return state;
  const chunks = state.text?.chunks ?? 0;
  const judge = <File extends SweepPoint | CodedMember>(file: File): File => ({
    ...file,
    ...against(
      file,
      state.rows.find(({ kind, label }) => kind === "preset" && label === file.preset),
      chunks,
    ),
  });
  const points = state.sweep.points.map((point) => {
    if (point.path === undefined) return point;
    const { feedback } = point;
    return { ...judge(point), ...present({ feedback: feedback && judge(feedback) }) };
  });
  return { ...state, sweep: { ...state.sweep, points } };
}

type Judged = Pick<CodedMember, "verdict" | "verdictCode" | "kldMinusPreset">;

function against(file: SweepPoint | CodedMember, preset: RunRow | undefined, chunks: number): Judged {
  return preset === undefined ? {} : againstPreset({ ...file, kind: "plan" }, preset, chunks);
}

/** A file against one preset. */
export function againstPreset(own: RunRow, preset: RunRow, chunks: number): Judged {
  const difference = kldDifference(own, preset);
  const kldMinusPreset = difference && { value: -difference.value, se: difference.se };
  const verdictCode = outcome(own, preset, chunks);
  return { verdict: WORDS[verdictCode](preset.label), verdictCode, ...present({ kldMinusPreset }) };
}
