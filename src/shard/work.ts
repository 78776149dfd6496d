/**
 * What a worker does: the units of its job that have no part yet. At least once is enough; what another worker did meanwhile
 * is not done again. A unit that fails is tried thrice, by whoever comes, and the rest goes on.
 */
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { makeFolder } from "../disk/aside-file.ts";
import { AgainError, EngineError, FileError } from "../errors.ts";
import { createWorkQueue } from "../work-queue.ts";
import { beginAttempt, forgetAttempts, poisonOf, readAttempts } from "./attempts.ts";
import type { Campaign, CampaignUnit } from "./campaign-document.ts";
import { finishedUnits, partsFolder, writePart } from "./parts.ts";
import { createRoundWait, ROUND_WAIT_SECONDS } from "./round-wait.ts";
import { followRounds } from "./rounds.ts";
import type { CampaignPlace, ShardStage, Worker } from "./stage.ts";
import { limitSeconds } from "./unit-time.ts";

export interface WorkDone {
  /** Units that were done here. */
  readonly done: number;
  /** Units of the job that have parts now. */
  readonly finished: number;
  readonly units: number;
  /** What failed here and is left for another try, and all that was given up after the last. */
  readonly failed: readonly UnitFault[];
  readonly poisoned: readonly UnitFault[];
  /** Units that others have to do before there is more to do here. */
  readonly waiting?: number;
}

export interface UnitFault {
  readonly unit: string;
  readonly of: unknown;
  /** What it is called. */
  readonly name: string;
  readonly error: string;
}

/**
 * Who else works in the campaign leaves what is under way there alone; an index is its worker's own. Where units are decided
 * in rounds, a round that others have to complete is waited for.
 */
export async function runUnits(
  place: CampaignPlace,
  stage: ShardStage,
  index: number | undefined,
  bench: Bench,
  waitSeconds = ROUND_WAIT_SECONDS,
): Promise<WorkDone> {
  const { directory } = place;
  await makeFolder(partsFolder(directory));
  const advance = followRounds(place, stage, bench);
  const wait = createRoundWait(waitSeconds, bench.signal);
  const failed: UnitFault[] = [];
  let worker: Worker | undefined;
  let done = 0;
  try {
    for (;;) {
      const { place: now, isOver } = await advance();
      const { open, poisoned, unfinished, isBusy } = await lookAt(now, stage, index, failed);
      if (open.length > 0) {
        worker ??= await stage.open(place, bench);
        const { width } = worker;
        const limit = await limitSeconds(now, stage, bench.threads);
        const total = done + open.length;
        const measure = async (unit: OpenUnit) => {
          const fault = await runUnit(
            now,
            { ...unit, name: stage.name(unit.of) },
            worker as Worker,
            limit(unit),
            bench,
          );
          if (fault !== undefined) failed.push(fault);
          else bench.progress.steps(stage.id, ++done, total);
        };
        // what failed before may end the process it is in: alone, and last
        const calm = open.filter(({ isRisky }) => !isRisky);
        const chosen = index === undefined ? someOf(calm.length > 0 ? calm : open, width) : open;
        const risky = chosen.filter(({ isRisky }) => isRisky);
        await together(
          chosen.filter(({ isRisky }) => !isRisky),
          width,
          bench.signal,
          measure,
        );
        await together(risky, 1, bench.signal, measure);
      }
      const isStuck = failed.length > 0 || poisoned.length > 0;
      const isWhole = index === undefined;
      // what others are at may be left by them
      const isAwaited = !isStuck && (!isOver || (isWhole && isBusy));
      const goesOn = open.length > 0 ? isWhole || !isOver : isAwaited && (await wait.next(`${unfinished}`, isBusy));
      if (goesOn) continue;
      const units = unitsOf(now.campaign, index);
      const finished = await finishedUnits(directory);
      // with what was given up just now
      const { poisoned: lost } = await lookAt(now, stage, index, []);
      const isLost = new Set(lost.map(({ unit }) => unit));
      return {
        done,
        finished: units.filter(({ key }) => finished.has(key)).length,
        units: units.length,
        failed: failed.filter(({ unit }) => !isLost.has(unit)),
        poisoned: lost,
        ...(isOver || isStuck ? {} : { waiting: unfinished }),
      };
    }
  } finally {
    await worker?.close();
  }
}

interface OpenUnit extends CampaignUnit {
  /** It was tried before. */
  readonly isRisky: boolean;
}

/** What there is to do for an index, or for whoever comes, and what was given up. */
async function lookAt(
  { directory, campaign }: CampaignPlace,
  { name }: Pick<ShardStage, "name">,
  index: number | undefined,
  failed: readonly UnitFault[],
): Promise<{ open: OpenUnit[]; poisoned: UnitFault[]; unfinished: number; isBusy: boolean }> {
  const attempts = await readAttempts(directory);
  const finished = await finishedUnits(directory);
  const isTried = new Set(failed.map(({ unit }) => unit));
  const isTaken = (key: string) => (attempts.get(key) ?? []).some(({ state }) => state === "under way");
  const unfinished = campaign.units.filter(({ key }) => !finished.has(key));
  const own = unitsOf({ units: unfinished }, index);
  const open = own.filter(
    ({ key }) =>
      !isTried.has(key) && poisonOf(attempts.get(key)) === undefined && !(index === undefined && isTaken(key)),
  );
  return {
    open: open.map((unit) => ({ ...unit, isRisky: attempts.has(unit.key) })),
    // a round that lacks one is never complete, whoever was to do it
    poisoned: (campaign.rounds ? unfinished : own).flatMap(({ key, of }) => {
      const error = poisonOf(attempts.get(key));
      return error === undefined || isTried.has(key) ? [] : [{ unit: key, of, name: name(of), error }];
    }),
    unfinished: unfinished.length,
    isBusy: unfinished.some(({ key }) => isTaken(key)),
  };
}

/** So many of them, from anywhere: others, who look at the same time, take others. */
function someOf<Item>(items: readonly Item[], count: number): Item[] {
  const from = Math.floor(Math.random() * Math.max(1, items.length - count + 1));
  return items.slice(from, from + count);
}

/** The units of an index, or all. */
export function unitsOf({ units }: Pick<Campaign, "units">, index: number | undefined): readonly CampaignUnit[] {
  return index === undefined ? units : units.filter(({ job }) => job === index);
}

/** All units; the first error that is none of a unit stops the others. */
async function together<Unit>(
  units: readonly Unit[],
  width: number,
  signal: AbortSignal,
  work: (unit: Unit) => Promise<void>,
): Promise<void> {
  const queue = createWorkQueue(width);
  let failure: unknown;
  await Promise.all(
    units.map((unit) =>
      queue.run(async () => {
        if (failure !== undefined || signal.aborted) return;
        await work(unit).catch((error: unknown) => {
          failure ??= error;
        });
      }),
    ),
  );
  if (failure !== undefined) throw failure;
  signal.throwIfAborted();
}

/** Do one unit. Returns what was wrong with it; throws what is wrong with this machine. */
async function runUnit(
  { directory }: CampaignPlace,
  { key, of, name }: CampaignUnit & Pick<UnitFault, "name">,
  worker: Worker,
  limit: number,
  { threads, signal }: Bench,
): Promise<UnitFault | undefined> {
  if ((await finishedUnits(directory)).has(key)) return undefined;
  const attempt = await beginAttempt(directory, key).catch((error: unknown) => {
    throw againWhereFull(error, directory);
  });
  const started = performance.now();
  try {
    const value = await within(worker.measure(of), limit);
    const seconds = (performance.now() - started) / 1000;
    await writePart(directory, { unit: key, seconds, threads, value });
    await attempt.forget();
    // nor of those that died over it
    await forgetAttempts(directory, new Set([key]));
    return undefined;
  } catch (error) {
    const again = againWhereFull(error, directory);
    if (signal.aborted || again instanceof AgainError) {
      await attempt.forget().catch(() => undefined);
      throw again;
    }
    const reason = error instanceof Error ? (error.message.split("\n")[0] as string) : String(error);
    await attempt.fail(reason);
    // its process is gone, or busy with what took too long: another one goes on
    if (error instanceof TimeoutError || (error instanceof EngineError && error.ended !== undefined)) {
      throw new AgainError(`${name}: ${reason}; the rest is done by the same command again`, {
        cause: error,
      });
    }
    return { unit: key, of, name, error: reason };
  }
}

class TimeoutError extends Error {}

async function within<Value>(work: Promise<Value>, seconds: number): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const words = `took longer than ${Math.round(seconds)} s, three times what was expected`;
    timer = setTimeout(() => reject(new TimeoutError(words)), Math.min(1000 * seconds, 2 ** 31 - 1));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A full disk says nothing of the unit. */
function againWhereFull(error: unknown, directory: string): unknown {
  const cause = error instanceof FileError ? error.cause : error;
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new AgainError(`${join(directory, "parts")}: no space left; free some, and give the command again`, {
    cause: error,
  });
}
