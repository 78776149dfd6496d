/**
 * What swaps bring: as `prism run --swaps on` does, moves of a plan are measured with all of it in place, and tensors take
 * the steps that these favour; the new plan is scored on other chunks, in place too, and the next round is of it while it is
 * better by two standard errors. Densities are those of every tensor probed alone, so that what is won is no better guess
 * of them. Besides: what moves did beside what was predicted, and how likely that is by its real deviation.
 * `npx tsx research/plan-swaps.ts --text FILE --analysis FILE --imatrix FILE --table FILE --work DIR --budget IQ2_XXS MODEL`
 */
import { mkdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { readAnalysis } from "../src/analyze/analysis-document.ts";
import { meanSe, pairedDifference } from "../src/evaluate/statistics.ts";
import { type FileType, parseFileType } from "../src/ggml/file-types.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { readImatrix } from "../src/imatrix/imatrix.ts";
import { openBench } from "../src/open-bench.ts";
import { makePlan, type PlanOptions } from "../src/plan/make-plan.ts";
import type { Plan } from "../src/plan/plan.ts";
import { levelOf, movedPlan } from "../src/probes/choose-moves.ts";
import { measureChunks } from "../src/probes/measure-probe.ts";
import { type MeasuredMove, measureMoves, planTypes } from "../src/probes/plan-moves.ts";
import { openProbeSite } from "../src/probes/probe-site.ts";
import { readProbeText } from "../src/probes/probe-text.ts";
import { exhaustive, readTable, withSums } from "./probe-replay.ts";

/** Chunks that moves are measured on, and others that plans are scored on. */
const CHUNKS = { moves: 16, trial: 64 } as const;
const ROUNDS = 2;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string", default: "" },
    analysis: { type: "string", default: "" },
    imatrix: { type: "string", default: "" },
    table: { type: "string", default: "" },
    work: { type: "string", default: "" },
    budget: { type: "string", default: "IQ2_XXS" },
    context: { type: "string", default: "256" },
  },
});
const [path = ""] = positionals;
const { text, work } = values;
const context = Number(values.context);
await mkdir(work, { recursive: true });
const analysis = readAnalysis(await readFile(values.analysis, "utf8"), values.analysis);
const imatrix = await readImatrix(values.imatrix);
const sensitivity = exhaustive(analysis, withSums(analysis, await readTable(values.table)));
const bench = await openBench({ threads: 1, backend: "reference", cacheDir: join(work, "cache") });
const source = await openLocalModel(path);
const textChunks = CHUNKS.moves + CHUNKS.trial;
const scratch = join(work, "scratch");
const textOf: Parameters<typeof openProbeSite>[1]["textOf"] = (loaded) =>
  readProbeText(loaded, source, { context, text, textChunks, trialChunks: 0 }, bench);
const site = await openProbeSite(source, { analysis, imatrix, context, scratch, textOf }, bench);

const fileType = parseFileType(values.budget) as FileType;
const options: PlanOptions = { analysis, sensitivity, budget: { kind: "like", fileType, text: values.budget } };
let plan = makePlan(options);
let best = await score(plan);
const { value: kld, se: error } = meanSe(best);
console.log(
  `${basename(path)} at the bytes of ${values.budget}, ${plan.predicted.bpw.toFixed(2)} bits per weight: additive plan ${kld.toPrecision(3)} ± ${error.toPrecision(1)} on ${best.length} chunks`,
);
for (let round = 1; round <= ROUNDS; round++) {
  const started = performance.now();
  const request = { plan, chunks: CHUNKS.moves, known: [], onMove: async () => undefined };
  const moves = await measureMoves(site, request, bench);
  console.log(`round ${round}: ${moves.length} moves in ${Math.round((performance.now() - started) / 1000)} s`);
  describeMoves(moves);
  const moved = movedPlan(options, plan, moves);
  const changed = moved.tensors.filter(({ type }, at) => type !== plan.tensors[at]?.type).length;
  if (changed === 0) {
    console.log("  no swap is expected to be better");
    break;
  }
  const now = await score(moved);
  const { value, se } = pairedDifference(now, best);
  const percent = (100 * value) / meanSe(best).value;
  console.log(
    `  ${changed} tensors swapped: ${percent.toFixed(1)} %, ${value.toExponential(2)} ± ${se.toExponential(1)} (${(value / se).toFixed(1)} standard errors)`,
  );
  if (value > -2 * se) break;
  plan = moved;
  best = now;
}
await site.close();
await source.close();
await bench.close();

async function score(of: Plan): Promise<number[]> {
  const scored = await measureChunks(site, planTypes(of), { first: CHUNKS.moves, end: textChunks }, bench.signal);
  return scored.map(({ kld }) => kld);
}

function describeMoves(moves: readonly MeasuredMove[]): void {
  const level = levelOf(moves);
  const off = moves.map(({ effect, predicted }) => (effect.value - level * predicted) / effect.se);
  const far = off.filter((errors) => Math.abs(errors) > 3).length;
  const factors = moves.map(({ effect, predicted }) => effect.value / (level * predicted)).sort((a, b) => a - b);
  const at = (share: number) => factors[Math.floor(share * (factors.length - 1))]?.toFixed(2);
  console.log(
    `  measured / predicted ${at(0.25)}, ${at(0.5)}, ${at(0.75)} of the level ${level.toFixed(2)} (quartiles); ${far} moves more than 3 standard errors off it`,
  );
}
