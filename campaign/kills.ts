/**
 * Signals at random moments. A command is interrupted one to three times, then given again: it must end well and leave
 * what it would have left undisturbed, no half files, no locks and no processes.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT } from "../src/errors.ts";
import { type Command, crashOf, type Ended, runPrism, startPrism, type Target } from "./command.ts";
import { type Draw, drawFor } from "./draw.ts";
import { inLanes } from "./lanes.ts";
import { type Request, type Result, Tally } from "./result.ts";
import { differenceOf } from "./snapshot.ts";
import { forceOf, JOBS, type Job, openWorkshop, type Room, type Workshop } from "./workshop.ts";

export interface KillsRequest extends Request {
  readonly lanes?: number;
  /** The campaign's own test: spoils what is left before the command is given again. */
  readonly sabotage?: ((room: Room) => Promise<void>) | undefined;
  readonly jobs?: readonly Job[];
}

const SIGNALS = ["SIGKILL", "SIGKILL", "SIGINT", "SIGTERM"] as const;
const TARGETS: readonly Target[] = ["process", "process", "group", "child"];
/** Signals that a command answers by stopping, and milliseconds it has for that: its own deadline is 10 s. */
const STOP_MS = 20_000;
/** Cases that miss (the command was faster) don't count; so many in a row are a fault of the campaign. */
const MAX_MISSES = 50;

/** `count` kills that found their process alive. */
export async function attackByKills(request: KillsRequest): Promise<Result> {
  const { seed, count, first = 0, lanes = 2, jobs = JOBS } = request;
  const tally = new Tally("kills", request);
  const workshop = await openWorkshop("kills");
  let misses = 0;
  try {
    await inLanes(lanes, first, async (index) => {
      if (tally.cases >= count) return false;
      const landed = await attackOnce(workshop, drawFor("kills", seed, index), `kills ${seed}/${index}`);
      misses = landed === 0 ? misses + 1 : 0;
      if (misses > MAX_MISSES) throw new Error(`${misses} kills in a row came too late`);
      return true;
    });
  } finally {
    await workshop.close();
  }
  return tally.result();

  async function attackOnce(workshop: Workshop, draw: Draw, id: string): Promise<number> {
    const job = draw.pick(jobs);
    const { snapshot, ms } = await workshop.baseline(job);
    const room = await workshop.room(id.replace(/\W/g, "-"));
    const failures = tally.failures.length;
    let landed = 0;
    try {
      for (let times = 1 + draw.below(3); times > 0; times--) {
        const signal = draw.pick(SIGNALS);
        const target = draw.pick(TARGETS);
        const moment = draw.real() * ms;
        const before = await room.halves();
        const command = startPrism(job.args, room);
        const hit = await strike(command, signal, target, moment, draw);
        const sentAt = performance.now();
        const ended = await command.ended;
        tally.peak(ended.peakBytes);
        if (!hit) continue;
        landed++;
        tally.count(`${signal} to the ${target}`);
        tally.count(`${job.name}: kills`);
        tally.ended();
        const words = `${job.name}, ${signal} to the ${target} after ${Math.round(moment)} ms`;
        const stopMs = performance.now() - sentAt;
        for (const what of judgeEnd(ended, signal, target, stopMs)) tally.fail(what.kind, id, `${words}: ${what.what}`);
        // told to stop, it cleans up what is its own at once
        const left =
          ended.code === EXIT.interrupted ? (await room.halves()).filter((name) => !before.includes(name)) : [];
        if (left.length > 0) tally.fail("wrong", id, `${words}: interrupted, it left ${left.join(", ")}`);
      }
      await request.sabotage?.(room);
      const before = await room.snapshot();
      const isDone = differenceOf(snapshot, before) === undefined;
      // a single file that is whole is not written again without --force
      const ended = isDone && job.args[0] !== "run" ? undefined : await runPrism([...job.args, ...forceOf(job)], room);
      if (ended !== undefined) tally.peak(ended.peakBytes);
      if (ended?.hung) tally.fail("hang", id, `${job.name}: given again, it did not end`);
      else if (ended !== undefined && ended.code !== 0)
        tally.fail("wrong", id, `${job.name}: given again: ${ended.stderr}`);
      const difference = differenceOf(snapshot, await room.snapshot());
      if (difference !== undefined) tally.fail("wrong", id, `${job.name}: given again: ${difference}`);
      const halves = await room.halves();
      if (halves.length > 0) tally.fail("wrong", id, `${job.name}: left ${halves.join(", ")}`);
      if (landed > 0 && !isDone && tally.failures.length === failures) tally.resumed++;
    } finally {
      await room.close();
    }
    return landed;
  }
}

/** Signal the command at its moment; false where it had ended before. A child may have to be waited for. */
async function strike(
  command: Command,
  signal: NodeJS.Signals,
  target: Target,
  moment: number,
  draw: Draw,
): Promise<boolean> {
  await Promise.race([sleep(moment), command.ended]);
  while (command.isRunning()) {
    if (command.signal(signal, target, (pids) => draw.pick(pids))) return true;
    await sleep(20);
  }
  return false;
}

type Judgement = { readonly kind: "crash" | "hang" | "wrong"; readonly what: string };

function judgeEnd(ended: Ended, signal: NodeJS.Signals, target: Target, stopMs: number): Judgement[] {
  const found: Judgement[] = [];
  if (ended.hung || (stopMs > STOP_MS && target !== "child"))
    found.push({ kind: "hang", what: `no end after ${Math.round(stopMs)} ms` });
  const crash = ended.hung ? undefined : crashOf(ended, target === "child" ? [] : [signal]);
  if (crash !== undefined) found.push({ kind: "crash", what: crash });
  if (ended.orphans > 0) found.push({ kind: "hang", what: `${ended.orphans} processes lived on` });
  return found;
}
