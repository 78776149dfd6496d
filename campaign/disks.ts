/**
 * Disks that fill up or can't be written, sources that change while they are read, caches and directories of runs that
 * rot. The result is that of an undisturbed command, or a refusal that names the file; afterwards, with the fault gone,
 * the same command comes to what it should.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { crashOf, type Ended, runPrism, startPrism } from "./command.ts";
import { changeSource, damageIn, SOURCE_CHANGES } from "./damage-files.ts";
import { type Draw, drawFor } from "./draw.ts";
import { inLanes } from "./lanes.ts";
import { type FailureKind, type Request, type Result, Tally } from "./result.ts";
import { type Disk, mountDisk } from "./small-disk.ts";
import { differenceOf, takeSnapshot } from "./snapshot.ts";
import { elsewhere, forceOf, JOBS, type Job, openWorkshop, type Room, type Workshop } from "./workshop.ts";

export interface DisksRequest extends Request {
  readonly lanes?: number;
  readonly jobs?: readonly Job[];
  readonly faults?: readonly FaultName[];
}

interface Case {
  readonly job: Job;
  readonly room: Room;
  readonly draw: Draw;
  readonly workshop: Workshop;
  readonly tally: Tally;
  fail(kind: FailureKind, what: string): void;
}

const FAULTS = {
  "full disk": fillDisk,
  "read-only disk": lockDisk,
  source: replaceSource,
  cache: rotCache,
  directory: rotDirectory,
};
export type FaultName = keyof typeof FAULTS;
const FAULT_NAMES = Object.keys(FAULTS) as FaultName[];

export async function attackByDisks(request: DisksRequest): Promise<Result> {
  const { seed, count, first = 0, lanes = 2, jobs = JOBS, faults = FAULT_NAMES } = request;
  const tally = new Tally("disks", request);
  const workshop = await openWorkshop("disks");
  try {
    await inLanes(lanes, first, async (index) => {
      if (index >= first + count) return false;
      const draw = drawFor("disks", seed, index);
      const fault = draw.pick(faults);
      const job = draw.pick(jobs);
      const id = `disks ${seed}/${index}`;
      const room = await workshop.room(id.replace(/\W/g, "-"));
      const fail = (kind: FailureKind, what: string) => tally.fail(kind, id, `${fault}, ${job.name}: ${what}`);
      try {
        await FAULTS[fault]({ job, room, draw, workshop, tally, fail });
      } finally {
        await room.close();
      }
      tally.ended();
      return true;
    });
  } finally {
    await workshop.close();
  }
  return tally.result();
}

/** No crash, no hang; where it ended in failure, `words` must say why. True where it ended well. */
function endedWell({ tally, fail }: Case, ended: Ended, words: RegExp): boolean {
  tally.peak(ended.peakBytes);
  const crash = crashOf(ended);
  if (ended.hung) fail("hang", "no end");
  else if (crash !== undefined) fail("crash", crash);
  else if (ended.code !== 0 && !words.test(ended.stderr))
    fail("wrong", `does not say why: ${ended.stderr.slice(-1000)}`);
  return ended.code === 0;
}

/** Give the command again, the fault being gone, into a folder: what comes out is what should. */
async function requireGood(one: Case, folder: string, when: string): Promise<void> {
  const { job, room, workshop, fail } = one;
  const ended = await runPrism([...elsewhere(job, folder), ...forceOf(job)], room);
  const { snapshot } = await workshop.baseline(job);
  if (ended.code !== 0) return fail("wrong", `${when}, it is refused: ${ended.stderr.slice(-1000)}`);
  const difference = differenceOf(snapshot, await takeSnapshot(`${room.cwd}/${folder}`));
  if (difference !== undefined) fail("wrong", `${when}: ${difference}`);
}

async function fillDisk(one: Case): Promise<void> {
  const folder = one.draw.pick(["out", "out", "cache"] as const);
  const bytes = 4096 * (1 + one.draw.below(one.draw.pick([8, 64, 256])));
  await onDisk(one, folder, bytes, () => undefined, /no space left|ENOSPC|free disk|at least|needs? /i);
}

async function lockDisk(one: Case): Promise<void> {
  const folder = one.draw.pick(["out", "cache"] as const);
  await onDisk(one, folder, 2 ** 24, (disk) => disk.allowWriting(false), /read-only|EROFS/);
}

async function onDisk(
  one: Case,
  folder: "out" | "cache",
  bytes: number,
  spoil: (disk: Disk) => void,
  words: RegExp,
): Promise<void> {
  const { job, room, workshop, tally, fail } = one;
  const disk = await mountDisk(`${room.cwd}/${folder}`, bytes);
  if (typeof disk === "string") {
    tally.skipped.add(`full and read-only disks: ${disk}`);
    return;
  }
  try {
    spoil(disk);
    const isWell = endedWell(one, await runPrism(job.args, room), words);
    tally.count(`a disk of ${folder} that is full or read-only: ${isWell ? "done all the same" : "refused"}`);
    disk.resize(2 ** 26);
    disk.allowWriting(true);
    const { snapshot } = await workshop.baseline(job);
    if (isWell) {
      const difference = differenceOf(snapshot, await room.snapshot());
      if (difference !== undefined) fail("wrong", difference);
      await requireGood(one, "out-later", "with room again");
    } else await requireGood(one, "out", "with room again");
  } finally {
    disk.unmount();
  }
}

async function replaceSource(one: Case): Promise<void> {
  const { job, room, draw, workshop, tally, fail } = one;
  const change = draw.pick(SOURCE_CHANGES);
  const [a, b] = [await workshop.baseline(job), await workshop.baseline(job, "b.gguf")];
  const command = startPrism(job.args, room);
  await sleep(draw.real() * a.ms);
  const wasRunning = command.isRunning();
  await changeSource(change, room.cwd, draw);
  const isWell = endedWell(one, await command.ended, /m\.gguf/);
  if (wasRunning) tally.count(`a source that is ${change}: ${isWell ? "one of the two" : "refused"}`);
  if (isWell) {
    const found = await room.snapshot();
    const differences = [a, b].map(({ snapshot }) => differenceOf(snapshot, found));
    if (!differences.includes(undefined)) fail("wrong", `${change}: neither model's: ${differences[0]}`);
  }
  await changeSource("restored", room.cwd, draw);
  await requireGood(one, "out-later", `the source ${change}, then restored`);
}

async function rotCache(one: Case): Promise<void> {
  const { job, room, draw, tally } = one;
  await runPrism(elsewhere(job, "out-warm"), room);
  const damage = await damageIn(room.cache, /^(?!kernels)/, draw);
  if (damage === undefined) return;
  const ended = await runPrism(job.args, room);
  const said = /damaged|made again|made anew/.test(ended.stderr);
  tally.count(
    `${damage.file.split("/")[0]} in the cache ${damage.how}: ${said ? "said and made again" : "made again, or not read"}`,
  );
  if (!endedWell(one, ended, /(?!)/)) return;
  const difference = differenceOf((await one.workshop.baseline(job)).snapshot, await room.snapshot());
  if (difference !== undefined) one.fail("wrong", `${damage.file} ${damage.how}: ${difference}`);
}

/** Documents of a run's directory. */
const READ_AGAIN = /^((state|analysis|probes)|(evaluations|plans)\/[\w-]+)\.json$/;

/** A run that was interrupted or is finished, a document damaged that it goes on from: it is remade, or named. */
async function rotDirectory(one: Case): Promise<void> {
  const { room, draw, workshop, tally, fail } = one;
  const job = draw.pick(JOBS.filter(({ args }) => args[0] === "run"));
  const { snapshot, ms } = await workshop.baseline(job);
  const command = startPrism(job.args, room);
  if (draw.chance(0.7)) {
    await Promise.race([sleep(draw.real() * ms), command.ended]);
    command.signal("SIGKILL", "group");
  }
  await command.ended;
  const damage = await damageIn(`${room.out}/run`, READ_AGAIN, draw).catch(() => undefined);
  if (damage === undefined) return;
  const name = damage.file.split("/").at(-1) ?? "";
  const ended = await runPrism(job.args, room);
  const isWell = endedWell(one, ended, new RegExp(name.replaceAll(".", "\\.")));
  tally.count(
    `${damage.file.replace(/^.*\//, "")} of a run ${damage.how}: ${isWell ? "made again, or not read" : "refused"}`,
  );
  const difference = isWell ? differenceOf(snapshot, await room.snapshot()) : undefined;
  if (difference !== undefined) fail("wrong", `${damage.file} ${damage.how}: ${difference}`);
}
