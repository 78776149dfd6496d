/** A finished run of a model that doesn't exist, its plan and its analysis. */

import { makePlan } from "../../../src/plan/make-plan.ts";
import type { Plan } from "../../../src/plan/plan.ts";
import type { Run, RunRow } from "../../../src/run/run-document.ts";
import { judgeRun } from "../../../src/run/run-rows.ts";
import { uniformSensitivity } from "../../../src/sensitivity/sensitivity.ts";
import { type Synthetic, syntheticAnalysis } from "../../plan/synthetic-analysis.ts";

/** Chunks of the text the run scored. */
const CHUNKS = 40;

export function runInMemory(options: Synthetic = {}) {
  const analysis = syntheticAnalysis(options);
  const plan = makePlan({
    analysis,
    sensitivity: uniformSensitivity(analysis),
    budget: { kind: "like", fileType: "Q3_K_M" },
    createdAt: "2026-01-01T00:00:00.000Z",
  });
  return { analysis, plan, run: runOf(plan) };
}

/** The plan wins over Q3_K_M and two shuffles; a larger uniform file is better, a smaller one worse. */
export function runOf(plan: Plan): Run {
  const { fileBytes, bpw, loss } = plan.predicted;
  const row = (label: string, kind: RunRow["kind"], size: number, kld: number): RunRow => ({
    label,
    kind,
    fileBytes: Math.round(size * fileBytes),
    bpw: size * bpw,
    ppl: { value: 20 + kld, se: 0.9 },
    lnPplRatio: { value: kld / 20, se: kld / 100 },
    kld: { mean: kld, se: kld / 50, median: kld / 2, p99: 8 * kld, max: 30 * kld },
    sameTop: 100 - 200 * kld,
    sameTopSe: 0.1,
    predictedLoss: (loss * kld) / 0.02,
    kldPerChunk: Array.from({ length: CHUNKS }, (_, chunk) => kld * (1 + 0.1 * Math.sin(chunk))),
  });
  const rows: RunRow[] = [
    { label: "tiny-f16.gguf", kind: "reference", fileBytes: 4 * fileBytes, bpw: 16, ppl: { value: 20, se: 0.9 } },
    row("plan", "plan", 1, 0.02),
    row("Q3_K_M", "preset", 1, 0.024),
    row("Q3_K_L", "preset", 1.08, 0.021),
    row("all Q3_K", "uniform", 0.85, 0.06),
    row("all Q4_K", "uniform", 1.2, 0.011),
    row("shuffle 1", "shuffle", 1, 0.03),
    row("shuffle 2", "shuffle", 1, 0.028),
  ];
  const begun: Run = {
    schema: "prism.run/1",
    prismVersion: "0.0.0",
    createdAt: "2026-01-01T00:00:00.000Z",
    finishedAt: "2026-01-01T00:05:00.000Z",
    asked: {
      model: plan.source.path,
      fingerprint: plan.source.headerHash,
      budget: "--like Q3_K_M",
      mode: "tensor",
      constraints: [],
      guards: ["head", "noise", "small", "mtp"],
      sensitivity: "uniform",
      baselines: [],
      text: "sampled",
      seed: 0,
      exactMetrics: false,
      exactDistortion: false,
      gpuLayers: 0,
      engine: "embedded 0.0.0",
      prismVersion: "0.0.0",
    },
    text: { source: "sampled", sha256: "cd".repeat(32), seed: 0, context: 256, chunks: CHUNKS, tokens: 256 * CHUNKS },
    rows,
    gates: [],
    warnings: [],
  };
  return judgeRun(begun, [], true);
}
