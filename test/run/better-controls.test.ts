import { describe, expect, it } from "vitest";
import { betterControls } from "../../src/run/better-controls.ts";
import type { Run, RunRow } from "../../src/run/run-document.ts";
import { runInMemory } from "../report/charts/run-in-memory.ts";

const { run } = runInMemory();
const plan = run.rows.find(({ kind }) => kind === "plan") as RunRow;
const row = (label: string, kind: RunRow["kind"], size: number, factor: number): RunRow => ({
  ...plan,
  label,
  kind,
  fileBytes: Math.round(size * plan.fileBytes),
  sha256: label,
  kldPerChunk: plan.kldPerChunk?.map((kld) => kld * factor) ?? [],
});
const asked = { ...run.asked, sensitivity: "auto", refine: "auto", imatrix: "sampled", engine: "embedded v0.5.0" };
const withRows = (rows: RunRow[], more: Partial<Run["asked"]> = {}): Run => ({
  ...run,
  rows: [plan, ...rows],
  asked: { ...asked, ...more },
});

describe("controls that are better than the file of a run", () => {
  it("are named where they are no larger and closer, or smaller and as close", () => {
    const rows = [
      row("all Q5_K", "uniform", 0.978, 0.9),
      row("Q4_K_M", "preset", 1, 0.9),
      row("Q4_K_S", "preset", 0.9, 1),
      row("Q5_K_M", "preset", 1.1, 0.5),
      row("Q3_K_M", "preset", 0.8, 2),
      row("s = elements", "uniform-s", 1, 0.5),
      row("shuffle 1", "shuffle", 1, 0.5),
    ];
    expect(betterControls(withRows(rows), plan)).toEqual([
      "all Q5_K is 2.2 % smaller than this file and closer to the source: the same command with --keep-models keeps that one",
      "Q4_K_M is as large as this file and closer to the source: the same command with --keep-models keeps that one",
      "Q4_K_S is 10.0 % smaller than this file and not measurably further from the source: the same command with --keep-models keeps that one",
    ]);
  });

  it("are compared with the file that is taken, not with the plan", () => {
    const coded = row("plan, error feedback", "feedback", 1, 0.8);
    const better = withRows([coded, row("all Q5_K", "uniform", 0.978, 0.9)]);
    expect(betterControls(better, coded)).toEqual([]);
    expect(betterControls(better, plan)).toHaveLength(1);
  });

  it("say where they are, and what the plan was made without only if that was asked", () => {
    const kept = { path: "models/preset-Q4_K_M.gguf", fileBytes: 1, sha256: "Q4_K_M" };
    const rows = [row("Q4_K_M", "preset", 0.9, 0.9), { ...row("x.gguf", "rival", 0.9, 0.9), from: "hf:a/b/x.gguf@1" }];
    const { refine: _, imatrix: __, ...without } = withRows(rows).asked;
    expect(betterControls({ ...withRows(rows), asked: without, outputs: [kept] }, plan)).toEqual([
      "Q4_K_M is 10.0 % smaller than this file and closer to the source: take models/preset-Q4_K_M.gguf",
      "x.gguf is 10.0 % smaller than this file and closer to the source: take that one, hf:a/b/x.gguf@1; without --refine 0 and --imatrix none the plan may be better",
    ]);
    const own = { ...without, sensitivity: "uniform", engine: "programs b1" };
    expect(betterControls({ ...withRows(rows), asked: own }, plan).at(-1)).toMatch(/@1$/);
  });
});
