/**
 * Who has tried a unit: a file an attempt, there from its beginning, removed when its part is written, and kept, with the
 * reason, where it failed. A worker that died leaves its file behind. Its age is told by the clock of the file system,
 * the only one that all machines share.
 */
import { randomBytes } from "node:crypto";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { isRunning, MACHINE, makeFolder, writeFileAside } from "../disk/aside-file.ts";

/** Failures after which a unit is left, and deaths of its worker, which say less of it. */
export const MOST_FAILURES = 3;
export const MOST_DEATHS = 6;

/** An attempt is renewed this often; one that was not renewed this long is of a worker that died. */
const RENEW_MS = 15_000;
const DEAD_MS = 120_000;

export interface Attempt {
  readonly unit: string;
  readonly host: string;
  /** What numbers its processes: machines and containers may share a name. */
  readonly machine?: string | undefined;
  readonly pid: number;
  /** Why it failed; absent: under way, or its worker died. */
  readonly error?: string | undefined;
}

export interface AttemptFound extends Attempt {
  readonly state: "failed" | "under way" | "died";
}

const NAME = /^([0-9a-f]{32})\.[0-9a-f]{16}\.json$/;

export interface OwnAttempt {
  /** It led to a part, or was given back: it does not count. */
  forget(): Promise<void>;
  fail(reason: string): Promise<void>;
}

function attemptsFolder(directory: string): string {
  return join(directory, "attempts");
}

export async function beginAttempt(directory: string, unit: string): Promise<OwnAttempt> {
  const folder = attemptsFolder(directory);
  await makeFolder(folder);
  const path = join(folder, `${unit}.${randomBytes(8).toString("hex")}.json`);
  const own: Attempt = { unit, host: hostname(), machine: MACHINE, pid: process.pid };
  const text = JSON.stringify(own);
  await writeFile(path, text).catch(async (error: unknown) => {
    // on a full disk the name is there already, and would look like somebody at work
    await rm(path, { force: true });
    throw error;
  });
  const renewing = setInterval(() => void writeFile(path, text, { flag: "r+" }).catch(() => undefined), RENEW_MS);
  renewing.unref();
  return {
    async forget() {
      clearInterval(renewing);
      await rm(path, { force: true });
    },
    async fail(reason) {
      clearInterval(renewing);
      await writeFileAside(path, JSON.stringify({ ...own, error: reason }));
    },
  };
}

/** All attempts that led to no part, by unit. */
export async function readAttempts(directory: string): Promise<ReadonlyMap<string, readonly AttemptFound[]>> {
  const folder = attemptsFolder(directory);
  const names = await readdir(folder).catch(() => []);
  const found = new Map<string, AttemptFound[]>();
  if (names.length === 0) return found;
  const now = await fileSystemTime(folder);
  for (const name of names) {
    const [, unit] = NAME.exec(name) ?? [];
    if (unit === undefined) continue;
    const attempt = await readAttempt(join(folder, name), unit, now);
    if (attempt !== undefined) found.set(unit, [...(found.get(unit) ?? []), attempt]);
  }
  return found;
}

async function readAttempt(path: string, unit: string, now: number): Promise<AttemptFound | undefined> {
  const [text, found] = await Promise.all([readFile(path, "utf8").catch(() => ""), stat(path).catch(() => undefined)]);
  // it ended meanwhile
  if (found === undefined) return undefined;
  const { host = "?", machine, pid = 0, error } = parse(text);
  if (error !== undefined) return { unit, host, pid, error, state: "failed" };
  const isGone = machine === MACHINE && pid > 0 && !isRunning(pid);
  // in its future: the clock was set back since
  const isStale = Math.abs(now - found.mtimeMs) > DEAD_MS;
  return { unit, host, pid, state: isGone || isStale ? "died" : "under way" };
}

/** What a worker that was killed while it wrote left is an attempt too, of nobody known. */
function parse(text: string): Partial<Attempt> {
  try {
    const { host, machine, pid, error } = JSON.parse(text) as Attempt;
    return {
      ...(typeof host === "string" && { host }),
      ...(typeof machine === "string" && { machine }),
      ...(Number.isSafeInteger(pid) && { pid }),
      ...(typeof error === "string" && { error }),
    };
  } catch {
    return {};
  }
}

async function fileSystemTime(folder: string): Promise<number> {
  const path = join(folder, `now.${randomBytes(8).toString("hex")}`);
  try {
    await writeFile(path, "");
    return (await stat(path)).mtimeMs;
  } catch {
    // only looked at
    return Date.now();
  } finally {
    await rm(path, { force: true }).catch(() => undefined);
  }
}

/** Why a unit is not tried again; undefined: it may be. */
export function poisonOf(attempts: readonly AttemptFound[] = []): string | undefined {
  const failures = attempts.filter(({ state }) => state === "failed");
  const deaths = attempts.filter(({ state }) => state === "died").length;
  if (failures.length >= MOST_FAILURES) return failures.at(-1)?.error;
  return deaths >= MOST_DEATHS ? `its worker ended without a word ${deaths} times` : undefined;
}

/** Forget the attempts of these units: they may be tried again. Returns how many units had any. */
export async function forgetAttempts(directory: string, units: ReadonlySet<string>): Promise<number> {
  const folder = attemptsFolder(directory);
  const forgotten = new Set<string>();
  for (const name of await readdir(folder).catch(() => [])) {
    const [, unit = ""] = NAME.exec(name) ?? [];
    if (!units.has(unit)) continue;
    await rm(join(folder, name), { force: true });
    forgotten.add(unit);
  }
  return forgotten.size;
}
