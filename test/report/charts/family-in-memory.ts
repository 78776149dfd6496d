/** A finished run of a family that doesn't exist: three sizes, the middle one the plan, the smallest better with error feedback. */
import { judgeFamily } from "../../../src/run/family-verdict.ts";
import type { Run, RunRow, SweepPoint } from "../../../src/run/run-document.ts";
import { describeSweep } from "../../../src/run/sweep.ts";
import { runInMemory } from "./run-in-memory.ts";

export function familyInMemory() {
  const { analysis, plan, run } = runInMemory();
  const own = run.rows.find(({ kind }) => kind === "plan") as RunRow;
  const member = (name: string, size: number, kld: number, preset: string): SweepPoint => ({
    ...scaled(own, size, kld),
    label: `plan ${name}`,
    sha256: name.replaceAll(/\D/g, "").padEnd(64, "a"),
    budget: `--bpw ${size}`,
    plan: `plans/plan-${name}.json`,
    path: `models/plan-${name}.gguf`,
    preset,
  });
  const small = member("2.80bpw", 0.8, 0.05, "Q3_K_M");
  const coded = {
    ...scaled(own, 0.8, 0.03),
    label: "plan 2.80bpw, error feedback",
    plan: "plans/plan-2.80bpw-feedback.json",
    path: "models/plan-2.80bpw-feedback.gguf",
    preset: "Q3_K_M",
  };
  const middle = member("3.50bpw", 1, own.kld?.mean ?? 0, "Q3_K_M");
  const points = [{ ...small, feedback: coded }, middle, member("4.55bpw", 1.3, 0.01, "Q3_K_L")];
  const begun: Run = { ...run, sweep: { points, survivors: [] }, family: { chosen: "nearest", plan: middle.label } };
  const described: Run = { ...begun, sweep: describeSweep(begun).sweep };
  return { analysis, plan, run: judgeFamily(described) };
}

function scaled({ kind: _, verdict: __, kld, kldPerChunk, ...row }: RunRow, size: number, mean: number) {
  const factor = mean / (kld?.mean ?? 1);
  return {
    ...row,
    fileBytes: Math.round(row.fileBytes * size),
    bpw: row.bpw * size,
    kld: { mean, se: mean / 50, median: mean / 2, p99: 8 * mean, max: 30 * mean },
    kldPerChunk: kldPerChunk?.map((value) => value * factor) ?? [],
  };
}
