/**
 * What a campaign costs beside one machine: `npx tsx bench/shard-overhead.ts [--shapes Qwen3-4B-Instruct-2507 | --model FILE]
 * [--rounds 3] [--exact | --distortion]` (after `npm run build`, on a machine with two free processors and memory for the model
 * beside it). In each round one after the other, all on one thread: `prism analyze`, a campaign of two jobs by one worker, and
 * by two at once. Prints the medians of the rounds, processor time of all processes against the analysis (at most 1.1) and
 * the clock of two workers against one (at most 0.6), and appends to the results. A model of the shapes is made for it, and
 * removed.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { generateModel } from "./generate-model.ts";
import { observe, type Usage } from "./processes.ts";
import { machineName, recordResult } from "./results.ts";

const MAIN = resolve(import.meta.dirname, "../dist/cli/main.js");
const ONE_THREAD = ["--threads", "1", "--no-cache", "--quiet"];
// a model of shapes has no vocabulary of its own
const ANY_MODEL = "--force-findings";
const WORKERS = 2;

const { values } = parseArgs({
  options: {
    shapes: { type: "string", default: "Qwen3-4B-Instruct-2507" },
    model: { type: "string" },
    rounds: { type: "string", default: "3" },
    exact: { type: "boolean", default: false },
    distortion: { type: "boolean", default: false },
  },
});
const exact = values.distortion ? ["--exact=distortion"] : values.exact ? ["--exact"] : [];

interface Round {
  readonly analysis: Usage;
  readonly oneWorker: Usage;
  readonly twoWorkers: Usage;
}

const work = await mkdtemp(join(tmpdir(), "prism-bench-"));
try {
  const model = values.model ?? (await makeModel());
  const campaign = join(work, "campaign");
  await prism("shard", "plan", model, "--dir", campaign, "--jobs", String(WORKERS), "--quiet", ANY_MODEL, ...exact);
  const rounds: Round[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const analysis = await usageOf(() =>
      prism("analyze", model, "-o", join(work, "analysis.json"), "--force", ANY_MODEL, ...ONE_THREAD, ...exact),
    );
    const oneWorker = await usageOfCampaign(campaign, [[]]);
    const twoWorkers = await usageOfCampaign(
      campaign,
      Array.from({ length: WORKERS }, (_, index) => ["--index", String(index)]),
    );
    rounds.push({ analysis, oneWorker, twoWorkers });
    console.error(
      `round ${round + 1}: ${Object.entries({ analysis, oneWorker, twoWorkers }).map(describe).join("; ")}`,
    );
  }
  report(rounds);
  const figures = { model: values.model ?? values.shapes, exact: exact.join(""), rounds };
  console.error(`added to ${await recordResult({ bench: "shard-overhead", figures })}`);
} finally {
  await rm(work, { recursive: true, force: true });
}

async function makeModel(): Promise<string> {
  const path = join(work, "model.gguf");
  await generateModel(values.shapes, path, "BF16", 1);
  return path;
}

/** All workers at once, from a campaign without parts. */
async function usageOfCampaign(campaign: string, workers: readonly (readonly string[])[]): Promise<Usage> {
  for (const done of ["parts", "attempts"]) await rm(join(campaign, done), { recursive: true, force: true });
  return usageOf(() => Promise.all(workers.map((worker) => prism("shard", "run", campaign, ...worker, ...ONE_THREAD))));
}

async function usageOf(run: () => Promise<unknown>): Promise<Usage> {
  return (await observe(run)).usage;
}

async function prism(...options: string[]): Promise<void> {
  const child = spawn(process.execPath, [MAIN, ...options], { stdio: ["ignore", "ignore", "inherit"] });
  const code = await new Promise<number | null>((done) => child.once("close", done));
  if (code !== 0) throw new Error(`prism ${options.join(" ")} ended with ${code}`);
}

function describe([name, { seconds, cpuSeconds = Number.NaN }]: [string, Usage]): string {
  return `${name} ${seconds.toFixed(1)} s, processor ${cpuSeconds.toFixed(1)} s`;
}

function report(rounds: readonly Round[]): void {
  const processor = (of: keyof Round) => rounds.map((round) => round[of].cpuSeconds ?? Number.NaN);
  const clock = (of: keyof Round) => rounds.map((round) => round[of].seconds);
  console.log(`${machineName()}, ${values.model ?? values.shapes} ${exact.join("")}, ${rounds.length} rounds\n`);
  console.log("| what | s | processor s | processor time, of the analysis' | clock, of one worker's |");
  console.log("|---|--:|--:|--:|--:|");
  for (const [what, of] of [
    ["`prism analyze`", "analysis"],
    ["one worker", "oneWorker"],
    ["two workers", "twoWorkers"],
  ] as const) {
    const ofAnalysis = median(ratios(processor(of), processor("analysis")));
    const ofOne = median(ratios(clock(of), clock("oneWorker")));
    const cells = [median(clock(of)).toFixed(1), median(processor(of)).toFixed(1), ofAnalysis.toFixed(3)];
    console.log(`| ${[what, ...cells, ofOne.toFixed(3)].join(" | ")} |`);
  }
}

/** Within each round, so that what the machine did meanwhile is in both. */
function ratios(numbers: readonly number[], others: readonly number[]): number[] {
  return numbers.map((number, index) => number / (others[index] as number));
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] as number;
}
