/**
 * What analysing costs, beside quantizing the same file to Q4_K_M with the embedded engine on the same threads, in one run:
 * `npx tsx bench/analysis.ts [--threads N] [--memory SIZE] [--skip exact,distortion] MODEL...` (a model of real shapes:
 * bench/generate-model.ts). It times `prism plan --like Q4_K_M` as a user runs it, without the cache, sampled and with
 * --exact; --exact=distortion on the first layers (--layers) against the bare round trips of the same rows and types.
 * Prints a table, with processor time beside the clock, since that holds on a busy machine too, and appends to the results.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Analysis } from "../src/analyze/analysis.ts";
import { openEngine } from "../src/engine/open-engine.ts";
import { exactDistortionCost } from "./exact-distortion.ts";
import { observe, type Usage } from "./processes.ts";
import { machineName, recordResult } from "./results.ts";

const MAIN = resolve(import.meta.dirname, "../dist/cli/main.js");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: String(availableParallelism()) },
    memory: { type: "string", default: "1GiB" },
    skip: { type: "string", default: "" },
    layers: { type: "string", default: "1" },
  },
});
const threads = Number(values.threads);
const skipped = values.skip.split(",");
const work = await mkdtemp(join(tmpdir(), "prism-bench-"));

interface Row {
  readonly what: string;
  readonly usage: Usage;
  readonly ratio?: number;
  readonly cpuRatio?: number;
  readonly bytesReadShare?: number;
}

console.log(`${machineName()}, ${threads} threads, --memory ${values.memory}\n`);
console.log("| model | what | s | processor s | ratio | ratio of processor time | read | peak memory, MB |");
console.log("|---|---|---|---|---|---|---|---|");
try {
  for (const model of positionals) {
    const rows = await measure(model);
    const figures = { model: basename(model, ".gguf"), threads, memory: values.memory, rows };
    console.error(`added to ${await recordResult({ bench: "analysis", figures })}`);
  }
} finally {
  await rm(work, { recursive: true, force: true });
}

async function measure(model: string): Promise<Row[]> {
  const rows: Row[] = [];
  const add = (row: Row) => {
    rows.push(row);
    console.log(tableLine(basename(model, ".gguf"), row));
  };
  const quantization = await quantizeTime(model);
  add({ what: "quantize to Q4_K_M", usage: quantization });
  add(await planRow(model, "plan", [], quantization));
  if (!skipped.includes("exact")) add(await planRow(model, "plan --exact", ["--exact"], quantization));
  if (!skipped.includes("distortion")) {
    const { analysis, roundTrips } = await exactDistortionCost(model, threads, Number(values.layers));
    add({ what: `round trips of ${values.layers} layer(s)`, usage: roundTrips });
    add({ what: `--exact=distortion of ${values.layers} layer(s)`, usage: analysis, ...against(analysis, roundTrips) });
  }
  return rows;
}

async function quantizeTime(source: string): Promise<Usage> {
  const output = join(work, "quantized.gguf");
  const { usage } = await observe(async () => {
    const engine = await openEngine({ threads });
    await engine.quantize({ source, output, fileType: "Q4_K_M", overrides: [], threads });
    await engine.close();
  });
  await rm(output);
  return usage;
}

async function planRow(model: string, what: string, options: readonly string[], base: Usage): Promise<Row> {
  const analysisPath = join(work, "analysis.json");
  const shared = ["--threads", String(threads), "--memory", values.memory, "--no-cache", "--force", "--quiet"];
  const { usage } = await observe(async () => {
    await prism("analyze", model, "-o", analysisPath, ...shared, ...options);
    await prism("plan", analysisPath, "--like", "Q4_K_M", "-o", join(work, "plan.json"), "--force", "--quiet");
  });
  const { sampling, model: identity } = JSON.parse(await readFile(analysisPath, "utf8")) as Analysis;
  return { what, usage, ...against(usage, base), bytesReadShare: sampling.bytesRead / identity.fileBytes };
}

async function prism(...options: string[]): Promise<void> {
  const child = spawn(process.execPath, [MAIN, ...options], { stdio: ["ignore", "ignore", "inherit"] });
  const code = await new Promise<number | null>((done) => child.once("close", done));
  if (code !== 0) throw new Error(`prism ${options.join(" ")} ended with ${code}`);
}

function against(usage: Usage, base: Usage): Pick<Row, "ratio" | "cpuRatio"> {
  return {
    ratio: usage.seconds / base.seconds,
    ...(usage.cpuSeconds === undefined || base.cpuSeconds === undefined
      ? {}
      : { cpuRatio: usage.cpuSeconds / base.cpuSeconds }),
  };
}

function tableLine(model: string, { what, usage, ratio, cpuRatio, bytesReadShare }: Row): string {
  const percent = bytesReadShare === undefined ? undefined : `${(100 * bytesReadShare).toFixed(1)} %`;
  const megabytes = usage.peakBytes === undefined ? undefined : (usage.peakBytes / 1e6).toFixed(0);
  const cells = [
    ...[model, what, usage.seconds.toFixed(1), usage.cpuSeconds?.toFixed(1), ratio?.toFixed(3), cpuRatio?.toFixed(3)],
    ...[percent, megabytes],
  ];
  return `| ${cells.map((cell) => cell ?? "").join(" | ")} |`;
}
