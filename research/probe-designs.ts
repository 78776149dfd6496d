/**
 * Designs of probing, replayed from tables of measured probes (research/probe-table.ts): what a plan made after so many
 * chunks loses by the densities that every tensor alone, on all chunks, gave; as a share of what that table itself gains
 * over the plan without probes. `npx tsx research/probe-designs.ts [--chunks 16,32,64,128,256] ANALYSIS.json TABLE.jsonl...`
 */
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import type { Analysis } from "../src/analyze/analysis.ts";
import { readAnalysis } from "../src/analyze/analysis-document.ts";
import { SILENT } from "../src/bench.ts";
import { type FileType, parseFileType } from "../src/ggml/file-types.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import { probeModel } from "../src/probes/probe-model.ts";
import type { Sensitivity } from "../src/sensitivity/sensitivity.ts";
import { parseSensitivity } from "../src/sensitivity/sensitivity-modes.ts";
import { commonChunks, emptyStore, exhaustive, type Row, readTable, replaySite, withSums } from "./probe-replay.ts";

const BUDGETS: readonly FileType[] = ["Q2_K", "IQ3_XXS", "Q3_K_M", "IQ4_XS", "Q4_K_M", "Q5_K_M"];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    chunks: { type: "string", default: "8,16,32,64,128,256,512" },
    probes: { type: "string", default: "1000" },
  },
});

for (let i = 0; i < positionals.length; i += 2) {
  const [analysisPath, tablePath] = positionals.slice(i, i + 2) as [string, string];
  const analysis = readAnalysis(await readFile(analysisPath, "utf8"), analysisPath);
  await replayModel(basename(tablePath, ".jsonl"), analysis, withSums(analysis, await readTable(tablePath)));
}

async function replayModel(name: string, analysis: Analysis, rows: ReadonlyMap<string, Row>): Promise<void> {
  const chunks = commonChunks(rows);
  const prior = parseSensitivity("auto")(analysis);
  const oracle = exhaustive(analysis, rows);
  const site = replaySite(rows, chunks);
  const rowsOut: string[] = [];
  for (const budget of values.chunks.split(",").map(Number)) {
    const request = {
      analysis,
      prior,
      site,
      store: emptyStore(),
      budget: { chunks: budget },
    };
    const started = performance.now();
    const probed = await probeModel(request, { signal: new AbortController().signal, progress: SILENT });
    const regrets = BUDGETS.map((fileType) =>
      probed.regretOf(
        makePlan({ analysis, sensitivity: probed.sensitivity, budget: { kind: "like", fileType, text: fileType } }),
      ),
    );
    const shares = BUDGETS.map((fileType) => {
      const [before, after, best] = [prior, probed.sensitivity, oracle].map((s) =>
        lossOf(analysis, s, oracle, fileType),
      ) as [number, number, number];
      return (before - after) / (before - best);
    });
    const real = BUDGETS.map((fileType) => {
      const [after, best] = [probed.sensitivity, oracle].map((s) => lossOf(analysis, s, oracle, fileType)) as [
        number,
        number,
      ];
      return after / best - 1;
    });
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    rowsOut.push(
      `| ${name} | ${budget} | ${probed.measurements.length} | ${regrets.map((regret) => (100 * regret).toFixed(1)).join("/")} | ${real.map((regret) => (100 * regret).toFixed(1)).join("/")} | ${(100 * mean).toFixed(0)} | ${shares.map((share) => (100 * share).toFixed(0)).join(" | ")} | ${Math.round(performance.now() - started)} ms |`,
    );
  }
  console.log(rowsOut.join("\n"));
}

function lossOf(analysis: Analysis, by: Sensitivity, truth: Sensitivity, name: FileType): number {
  const fileType = parseFileType(name) as FileType;
  const plan = makePlan({ analysis, sensitivity: by, budget: { kind: "like", fileType, text: name } });
  const distortions = new Map(analysis.tensors.map((tensor) => [tensor.name, tensor.distortion]));
  return plan.tensors.reduce((sum, { name: tensor, type }) => {
    const value = distortions.get(tensor)?.[type]?.value ?? 0;
    return sum + value * (truth.values.get(tensor) ?? 0);
  }, 0);
}
