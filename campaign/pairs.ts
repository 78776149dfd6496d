/**
 * Two commands at once, on one directory, one output or one cache. Each comes to what it comes to alone, or is refused
 * with words; what is there in the end is what one of them alone would have left.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { crashOf, type Ended, runPrism, startPrism } from "./command.ts";
import { type Draw, drawFor } from "./draw.ts";
import { inLanes } from "./lanes.ts";
import { type Request, type Result, Tally } from "./result.ts";
import { differenceOf, type Snapshot, takeSnapshot } from "./snapshot.ts";
import { elsewhere, type Job, jobNamed, openWorkshop, type Room, type Workshop } from "./workshop.ts";

export interface PairsRequest extends Request {
  readonly lanes?: number;
  readonly pairs?: readonly Pair[];
  /** The campaign's own test: spoils what the two made. */
  readonly sabotage?: ((room: Room) => Promise<void>) | undefined;
}

export interface Pair {
  readonly name: string;
  readonly job: Job;
  /** What runs beside it: the same command, the same to another place, or another one. */
  readonly beside: readonly string[];
  /** Where the two write to one place, the words with which one of them may be refused. */
  readonly refusal?: RegExp;
  /** Whether the other one's output, in `other`, must be as the first one's in `out`. */
  readonly isTwin?: boolean;
}

const OTHER = "out-other";
const IN_USE = /is in use by process \d+ on .+, since /;
const EXISTS = /exists?( already)?; give --force/;

function pairsOf(name: string, refusal: RegExp): Pair[] {
  const job = jobNamed(name);
  return [
    { name: `${name}, twice to one place`, job, beside: job.args, refusal },
    { name: `${name}, twice with one cache`, job, beside: elsewhere(job, OTHER), isTwin: true },
  ];
}

const RUN = jobNamed("run, refined");
export const PAIRS: readonly Pair[] = [
  ...pairsOf("run, refined", IN_USE),
  ...pairsOf("run, sweep", IN_USE),
  ...pairsOf("analyze", EXISTS),
  ...pairsOf("plan", EXISTS),
  ...pairsOf("quantize", EXISTS),
  ...pairsOf("evaluate", EXISTS),
  ...pairsOf("imatrix", EXISTS),
  {
    name: "run and another run in its directory",
    job: RUN,
    beside: [...RUN.args, "--seed", "7"],
    refusal: /in use by process|asked something else/,
  },
  {
    name: "run and report of it",
    job: RUN,
    beside: ["report", "out/run", "-o", "out-other/r.html"],
    refusal: /out\/run/,
  },
  { name: "run and show of its plan", job: RUN, beside: ["show", "out/run"], refusal: /out\/run/ },
  {
    name: "run and quantize of its plan",
    job: RUN,
    beside: ["quantize", "out/run/plans/plan.json", "-o", "out-other/q.gguf"],
    refusal: /out\/run/,
  },
  { name: "run and evaluate", job: RUN, beside: elsewhere(jobNamed("evaluate"), OTHER) },
];

export async function attackByPairs(request: PairsRequest): Promise<Result> {
  const { seed, count, first = 0, lanes = 1, pairs = PAIRS } = request;
  const tally = new Tally("pairs", request);
  const workshop = await openWorkshop("pairs");
  try {
    await inLanes(lanes, first, async (index) => {
      if (index >= first + count) return false;
      await attackOnce(workshop, drawFor("pairs", seed, index), `pairs ${seed}/${index}`);
      tally.ended();
      return true;
    });
  } finally {
    await workshop.close();
  }
  return tally.result();

  async function attackOnce(workshop: Workshop, draw: Draw, id: string): Promise<void> {
    const pair = draw.pick(pairs);
    const { job, beside, refusal } = pair;
    const { snapshot, ms } = await workshop.baseline(job);
    const room = await workshop.room(id.replace(/\W/g, "-"));
    const fail = (kind: "crash" | "hang" | "wrong", what: string) => tally.fail(kind, id, `${pair.name}: ${what}`);
    try {
      // a warm cache is read by both, a cold one written by both
      if (draw.chance(0.3)) await runPrism(elsewhere(job, "out-warm"), room);
      const one = startPrism(job.args, room);
      await sleep(draw.chance(0.5) ? 0 : draw.real() * ms);
      const two = startPrism(beside, room);
      const ends = await Promise.all([one.ended, two.ended]);
      for (const [number, ended] of ends.entries()) judgeEnd(ended, number, refusal, fail);
      for (const { peakBytes } of ends) tally.peak(peakBytes);
      const refused = ends.filter(({ code }) => code !== 0).length;
      tally.count(`${pair.name}: ${refused === 0 ? "both" : "one refused"}`);
      if (refused === 2)
        fail("wrong", `both were refused: ${ends.map(({ stderr }) => stderr.slice(-300)).join(" | ")}`);
      await request.sabotage?.(room);
      await judgeRoom(room, pair, snapshot, ends, fail);
    } finally {
      await room.close();
    }
  }
}

type Fail = (kind: "crash" | "hang" | "wrong", what: string) => void;

function judgeEnd(ended: Ended, number: number, refusal: RegExp | undefined, fail: Fail): void {
  const crash = crashOf(ended);
  if (ended.hung) fail("hang", `the ${number === 0 ? "first" : "second"} did not end`);
  else if (crash !== undefined) fail("crash", crash);
  else if (ended.code !== 0 && !refusal?.test(ended.stderr)) fail("wrong", `refused: ${ended.stderr.slice(-1000)}`);
  if (ended.orphans > 0) fail("hang", `${ended.orphans} processes lived on`);
}

async function judgeRoom(
  room: Room,
  { name, job, isTwin = false }: Pair,
  expected: Snapshot,
  [one]: readonly Ended[],
  fail: Fail,
): Promise<void> {
  // the one that was asked something else may have been the faster
  const isOther = one?.code !== 0 && name.includes("another run");
  const difference = isOther ? undefined : differenceOf(expected, await room.snapshot());
  if (difference !== undefined) fail("wrong", difference);
  if (isTwin) {
    const twin = differenceOf(expected, await takeSnapshot(`${room.cwd}/out-other`));
    if (twin !== undefined) fail("wrong", `the second: ${twin}`);
  }
  const halves = await room.halves();
  if (halves.length > 0) fail("wrong", `left ${halves.join(", ")}`);
  // what both left in the cache is believed by the next one
  const later = await runPrism(elsewhere(job, "out-later"), room);
  const after = later.code === 0 ? differenceOf(expected, await takeSnapshot(`${room.cwd}/out-later`)) : later.stderr;
  if (after !== undefined) fail("wrong", `given once more, with their cache: ${after}`);
}
