/**
 * What a worker does: the units of its job that have no part yet. At least once is enough; what another worker did meanwhile
 * is not done again. A unit that fails is tried thrice, by whoever comes, and the rest goes on.
 */
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { makeFolder } from "../disk/aside-file.ts";
import { AgainError, EngineError, FileError } from "../errors.ts";
import { createWorkQueue } from "../work-queue.ts";
import { beginAttempt, poisonOf, readAttempts } from "./attempts.ts";
import type { Campaign, CampaignUnit } from "./campaign-document.ts";
import { finishedUnits, partsFolder, writePart } from "./parts.ts";
import type { CampaignPlace, ShardStage, Worker } from "./stage.ts";
import { limitSeconds } from "./unit-time.ts";

export interface WorkDone {
  /** Units that were done here. */
  readonly done: number;
  /** Units of the job that have parts now. */
  readonly finished: number;
  readonly units: number;
  /** What is left for another try, and what was given up after the last. */
  readonly failed: readonly UnitFault[];
  readonly poisoned: readonly UnitFault[];
}

export interface UnitFault {
  readonly unit: string;
  readonly of: unknown;
  readonly error: string;
}

/** Who else works in the campaign leaves what is under way there alone; an index is its worker's own. */
export async function runUnits(
  place: CampaignPlace,
  stage: ShardStage,
  index: number | undefined,
  bench: Bench,
): Promise<WorkDone> {
  const { directory, campaign } = place;
  const units = unitsOf(campaign, index);
  await makeFolder(partsFolder(directory));
  const attempts = await readAttempts(directory);
  const finished = await finishedUnits(directory);
  const poisoned = units.flatMap(({ key, of }) => {
    const error = finished.has(key) ? undefined : poisonOf(attempts.get(key));
    return error === undefined ? [] : [{ unit: key, of, error }];
  });
  const isPoison = new Set(poisoned.map(({ unit }) => unit));
  const isTaken = (key: string) =>
    index === undefined && (attempts.get(key) ?? []).some(({ state }) => state === "under way");
  const open = units.filter(({ key }) => !finished.has(key) && !isPoison.has(key) && !isTaken(key));
  // what failed before may end the process it is in: alone, and last
  const calm = open.filter(({ key }) => !attempts.has(key));
  const risky = open.filter(({ key }) => attempts.has(key));
  const failed: UnitFault[] = [];
  let done = 0;
  if (open.length > 0) {
    const worker = await stage.open(place, bench);
    try {
      const limit = await limitSeconds(place, stage, bench.threads);
      const measure = async (unit: CampaignUnit) => {
        const fault = await runUnit(place, unit, worker, limit(unit), bench);
        if (fault !== undefined) failed.push(fault);
        else bench.progress.steps(stage.id, ++done, open.length);
      };
      await together(calm, worker.width, bench.signal, measure);
      await together(risky, 1, bench.signal, measure);
    } finally {
      await worker.close();
    }
  }
  const now = await finishedUnits(directory);
  return { done, finished: units.filter(({ key }) => now.has(key)).length, units: units.length, failed, poisoned };
}

/** The units of an index, or all. */
export function unitsOf({ units }: Campaign, index: number | undefined): readonly CampaignUnit[] {
  return index === undefined ? units : units.filter(({ job }) => job === index);
}

/** All units; the first error that is none of a unit stops the others. */
async function together(
  units: readonly CampaignUnit[],
  width: number,
  signal: AbortSignal,
  work: (unit: CampaignUnit) => Promise<void>,
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
  { key, of }: CampaignUnit,
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
      throw new AgainError(`unit ${JSON.stringify(of)}: ${reason}; the rest is done by the same command again`, {
        cause: error,
      });
    }
    return { unit: key, of, error: reason };
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
