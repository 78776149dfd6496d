/**
 * Campaigns on a model of 700 GB and up to 1,000 workers, simulated from unit times that are measured here first:
 * `npx tsx bench/many-machines.ts [--shapes GLM-4.6] [--active 32e9] [--cores 32] [--storage 20e9] [--node 2.5e9]
 * [--deaths 0.01] [--seed 1] [--times FILE]` (after `npm run build`). The shapes are of a published model (test/fixtures/
 * shapes), BF16. --times keeps the measured times, or takes them from a file that is there. Prints the tables of
 * docs/many-machines.md and appends to the results.
 */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cutRows } from "../src/analyze/tensor-part.ts";
import { elementCount } from "../src/ggml/tensor-types.ts";
import { unitBytes } from "../src/shard/unit-bytes.ts";
import { readArchitecture } from "../test/fixtures/architectures.ts";
import {
  type Cluster,
  idealSeconds,
  inJobs,
  type Outcome,
  type SimulatedUnit,
  simulate,
} from "./campaign-simulation.ts";
import { machineName, recordResult } from "./results.ts";
import { kindOf, type Mode, measureKinds, measureProcess, type UnitTime } from "./unit-times.ts";

const { values } = parseArgs({
  options: {
    shapes: { type: "string", default: "GLM-4.6" },
    active: { type: "string", default: "32e9" },
    cores: { type: "string", default: "32" },
    storage: { type: "string", default: "20e9" },
    node: { type: "string", default: "2.5e9" },
    deaths: { type: "string", default: "0.01" },
    seed: { type: "string", default: "1" },
    times: { type: "string" },
  },
});

const CHECKOUT = join(import.meta.dirname, "..");
const MODEL = join(CHECKOUT, "models/books-llama-8m-f16.gguf");
const TEXT = join(CHECKOUT, "data/calibration/prose.txt");
const WORKERS = [1, 8, 64, 256, 1000];
/** Those that units are counted for. */
const DESCRIBED_WORKERS = 256;
/** Campaigns that a row of the table is the median of. */
const DRAWS = 5;
/** Until a scheduler has put a job on a node, and until it sees that the node is dead (Slurm's defaults are of this order). */
const SCHEDULE_SECONDS = 5;
const REQUEUE_SECONDS = 60;
const PROBES = 160;
const PROBE_CHUNKS = 32;
const CHUNK_TOKENS = 512;
/** Chunks in a unit of a probe, and groups that a round chooses. */
const BLOCK_CHUNKS = 8;
const ROUND_PROBES = 16;

interface Measured {
  readonly kinds: Record<string, Record<Mode, UnitTime>>;
  /** Until a worker has begun its first unit, and of a chunk by active parameter and token. */
  readonly startSeconds: number;
  readonly chunkSeconds: number;
}

interface Campaign {
  readonly name: string;
  /** Units of each round; a round begins when all of the last are done. */
  readonly rounds: readonly (readonly SimulatedUnit[])[];
  readonly startSeconds: number;
  readonly startBytes: number;
}

/** What jobs are balanced by; claimed units are no jobs. */
const ASSIGNMENTS: Record<string, ((unit: SimulatedUnit) => number) | undefined> = {
  bytes: ({ bytes, seconds }) => bytes || seconds,
  seconds: ({ seconds }) => seconds,
  claims: undefined,
};

const architecture = readArchitecture(values.shapes);
const cores = Number(values.cores);
const modelBytes = architecture.tensors.reduce(
  (sum, { shape, type }) => sum + shape.reduce((a, b) => a * b) * (type === "F32" ? 4 : 2),
  0,
);
const measured = await unitTimes();
/** Campaigns for so many workers, each with a job. */
const campaigns: readonly ((workers: number) => Campaign)[] = [
  () => analysis("sampled"),
  () => analysis("exact"),
  () => analysis("distortion"),
  (workers) => analysis("distortion", workers),
  probes,
];

const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(bytes < 1e10 ? 1 : 0);
console.log(
  `${values.shapes}, BF16, ${gigabytes(modelBytes)} GB, ${architecture.tensors.length} tensors; times of ${machineName()}`,
);
console.log(
  `workers of ${cores} cores, storage ${values.storage} B/s, a node ${values.node} B/s, deaths ${values.deaths} per hour`,
);
for (const { name, rounds } of campaigns.map((campaign) => campaign(DESCRIBED_WORKERS))) {
  const units = rounds.flat();
  const sum = units.reduce((total, { seconds }) => total + seconds, 0);
  const largest = Math.max(...units.map(({ seconds }) => seconds));
  console.log(
    `${name}: ${units.length} units, ${duration(sum)} of one worker, the largest ${largest.toFixed(1)} s = 1/${(sum / largest).toFixed(0)} of all`,
  );
}
console.log(
  "\n| campaign | workers | at least | bound by | by bytes | by seconds | claims | efficiency | slowest / mean | GB read by a worker, mean (most) |",
);
console.log("|---|--:|--:|---|--:|--:|--:|---|---|---|");
const rows = campaigns.flatMap((campaign) => WORKERS.map((workers) => row(campaign(workers), workers)));
const figures = { ...values, times: undefined, modelBytes, measured, rows };
console.error(`added to ${await recordResult({ bench: "many-machines", figures })}`);

async function unitTimes(): Promise<Measured> {
  const { times } = values;
  if (times !== undefined && existsSync(times)) return JSON.parse(await readFile(times, "utf8")) as Measured;
  const folder = await mkdtemp(join(tmpdir(), "prism-bench-"));
  try {
    const kinds = Object.fromEntries(await measureKinds(architecture, folder));
    const found = { kinds, ...(await measureProcess(MODEL, TEXT, folder)) };
    if (times !== undefined) await writeFile(times, JSON.stringify(found, undefined, 1));
    return found;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A unit is a tensor, or the rows of one that a campaign of so many jobs cuts it to. */
function analysis(mode: Mode, jobs?: number): Campaign {
  const mostBytes = jobs === undefined ? Number.POSITIVE_INFINITY : unitBytes({ fileBytes: modelBytes, jobs });
  const units = architecture.tensors.flatMap((tensor): SimulatedUnit[] => {
    const time = measured.kinds[kindOf(tensor)]?.[mode];
    if (time === undefined) return [];
    const cuts = cutRows({ shape: tensor.shape, bytes: 2 * elementCount(tensor.shape) }, mostBytes);
    const rows = cuts.at(-1)?.to ?? 1;
    return cuts.map(({ from, to }) => {
      const part = (to - from) / rows;
      return { key: `${tensor.name} ${from}`, seconds: (time.seconds * part) / cores, bytes: time.bytes * part };
    });
  });
  const what = { sampled: "sampled", exact: "`--exact`", distortion: "`--exact=distortion`" }[mode];
  const name = mode === "distortion" && jobs === undefined ? `${what}, tensors whole` : what;
  return { name, rounds: [units], startSeconds: measured.startSeconds + SCHEDULE_SECONDS, startBytes: 0 };
}

/** The model is in memory, and the reference's logits of one block of chunks, before a worker's first unit. */
function probes(): Campaign {
  const block = (measured.chunkSeconds * Number(values.active) * CHUNK_TOKENS * BLOCK_CHUNKS) / cores;
  const blocks = PROBE_CHUNKS / BLOCK_CHUNKS;
  const rounds = Array.from({ length: PROBES / ROUND_PROBES }, (_, round) =>
    Array.from({ length: ROUND_PROBES * blocks }, (_, unit) => ({ key: `${round} ${unit}`, seconds: block, bytes: 0 })),
  );
  const startSeconds = measured.startSeconds + SCHEDULE_SECONDS + block;
  return { name: `${PROBES} probes, rounds of ${ROUND_PROBES}`, rounds, startSeconds, startBytes: modelBytes };
}

function row({ name, rounds, startSeconds, startBytes }: Campaign, workers: number): Record<string, unknown> {
  const cluster: Omit<Cluster, "seed"> = {
    workers,
    startSeconds,
    startBytes,
    nodeBytesPerSecond: Number(values.node),
    storageBytesPerSecond: Number(values.storage),
    speedSpread: 0.15,
    deathsPerHour: Number(values.deaths),
    requeueSeconds: REQUEUE_SECONDS,
  };
  const { compute, storage } = idealSeconds(rounds.flat(), { ...cluster, seed: 0 });
  const ideal = Math.max(compute, storage);
  const found = Object.entries(ASSIGNMENTS).map(([assignment, by]) => {
    const draws = Array.from({ length: DRAWS }, (_, draw) =>
      run(rounds, { ...cluster, seed: Number(values.seed) + draw }, by),
    );
    const makespan = median(draws.map((draw) => draw.makespanSeconds));
    return {
      assignment,
      makespan,
      efficiency: ideal / makespan,
      balance: median(draws.map((draw) => Math.max(...draw.busySeconds) / mean(draw.busySeconds))),
      bytesMean: median(draws.map((draw) => mean(draw.bytesRead))),
      bytesMost: median(draws.map((draw) => Math.max(...draw.bytesRead))),
    };
  });
  const each = (of: (one: (typeof found)[number]) => string) => found.map(of);
  const cells = [
    ...[name, String(workers), duration(ideal), compute > storage ? "computing" : "storage"],
    ...each(({ makespan }) => duration(makespan)),
    each(({ efficiency }) => `${(100 * efficiency).toFixed(0)} %`).join(" · "),
    each((one) => one.balance.toFixed(2)).join(" · "),
    each((one) => `${gigabytes(one.bytesMean)} (${gigabytes(one.bytesMost)})`).join(" · "),
  ];
  console.log(`| ${cells.join(" | ")} |`);
  return { name, workers, ideal, compute, storage, found };
}

/** The rounds one after the other; only the first starts workers. */
function run(
  rounds: Campaign["rounds"],
  cluster: Cluster,
  weight: ((unit: SimulatedUnit) => number) | undefined,
): Pick<Outcome, "makespanSeconds" | "busySeconds" | "bytesRead"> {
  const outcomes = rounds.map((units, round) => {
    const jobs = weight
      ? inJobs(units, cluster.workers, weight)
      : units.toSorted((a, b) => b.seconds - a.seconds).map((unit) => [unit]);
    const warm = round === 0 ? cluster : { ...cluster, startSeconds: 0, startBytes: 0 };
    return simulate(jobs, warm, weight !== undefined);
  });
  const sums = (of: (outcome: Outcome) => readonly number[]) =>
    Array.from({ length: cluster.workers }, (_, worker) =>
      outcomes.reduce((sum, one) => sum + (of(one)[worker] as number), 0),
    );
  return {
    makespanSeconds: outcomes.reduce((sum, { makespanSeconds }) => sum + makespanSeconds, 0),
    busySeconds: sums(({ busySeconds }) => busySeconds),
    bytesRead: sums(({ bytesRead }) => bytesRead),
  };
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] as number;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
