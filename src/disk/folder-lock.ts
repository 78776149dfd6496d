/**
 * One process at a time works in a folder: a file in it says who does. It appears whole or not at all (a link), which
 * holds on network file systems too. What a process left that is no more is taken over: on this machine by its process
 * number and start, of another machine where nobody has renewed the file for a while.
 */
import { randomUUID } from "node:crypto";
import { link, mkdir, open, readFile, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FileError, UsageError } from "../errors.ts";
import { isRunning, processSpace } from "./aside-file.ts";

export interface FolderLock {
  /** Aborted where another process took the lock over, as it may from one that was suspended. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

interface Holder {
  readonly token: string;
  readonly pid: number;
  readonly host: string;
  /** Names the numbers of processes: containers may share a host's name and folder, and number alike. */
  readonly space: string;
  /** Tells two processes of one number apart, where the system says it. */
  readonly started: string;
  readonly since: string;
}

/** The holder renews the file this often; of another machine, one not renewed this long was left behind. */
const RENEW_MS = 15_000;
const LEFT_MS = 120_000;
/** Taking over is done in milliseconds; who began it this long ago is no more. */
const TAKEOVER_MS = 30_000;
const TRIES = 50;
const BETWEEN_TRIES_MS = 100;

/** Take the lock file `path`. Throws UsageError, which says who holds it, FileError where it can't be written. */
export async function lockFolder(path: string): Promise<FolderLock> {
  const own = await describeSelf();
  const content = JSON.stringify(own);
  const draft = `${path}.${own.token}`;
  await writeFile(draft, content);
  try {
    for (let attempt = 0; !(await place(draft, path, content)); attempt++) {
      await removeLeft(path, (await stat(draft)).mtimeMs, own, attempt >= TRIES);
    }
  } finally {
    await rm(draft, { force: true });
  }
  const lost = new AbortController();
  const renewing = setInterval(() => {
    void renew(path, own.token, content).then((isOurs) => {
      if (!isOurs) lost.abort(new FileError(path, "was taken over by another process while this one was suspended"));
    });
  }, RENEW_MS);
  renewing.unref();
  return {
    lost: lost.signal,
    async release() {
      clearInterval(renewing);
      if ((await readHolder(path))?.token === own.token) await rm(path, { force: true });
    },
  };
}

async function place(draft: string, path: string, content: string): Promise<boolean> {
  try {
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") throw error;
      // a file system without links
      return writeFile(path, content, { flag: "wx" });
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Remove a lock that was left behind, one process at a time. Throws UsageError where it is held. */
async function removeLeft(path: string, nowMs: number, own: Holder, isLast: boolean): Promise<void> {
  const found = await readHolder(path);
  if (await isHeld(path, found, nowMs, own)) {
    const who = found === undefined ? "another process" : `process ${found.pid} on ${found.host}, since ${found.since}`;
    throw new UsageError(
      `${dirname(path)} is in use by ${who}; wait for it, or choose another folder (if it is no more, delete ${path})`,
    );
  }
  const takeover = `${path}.takeover`;
  try {
    await mkdir(takeover);
  } catch {
    const begun = await stat(takeover).catch(() => undefined);
    if (begun !== undefined && nowMs - begun.mtimeMs > TAKEOVER_MS) await rmdir(takeover).catch(() => undefined);
    if (isLast) throw new UsageError(`${dirname(path)} is being taken over by another process; try again`);
    await sleep(BETWEEN_TRIES_MS);
    return;
  }
  try {
    // another one may have been faster
    if ((await readHolder(path))?.token === found?.token) await rm(path, { force: true });
  } finally {
    await rmdir(takeover).catch(() => undefined);
  }
}

async function isHeld(path: string, found: Holder | undefined, nowMs: number, own: Holder): Promise<boolean> {
  if (found !== undefined && found.host === own.host && found.space === own.space) {
    return isRunning(found.pid) && (await startOf(found.pid)) === found.started;
  }
  const status = await stat(path).catch(() => undefined);
  return status !== undefined && nowMs - status.mtimeMs < LEFT_MS;
}

/** By writing, so that the time is the file system's own. Returns whether the lock was ours still. */
async function renew(path: string, token: string, content: string): Promise<boolean> {
  const found = await readHolder(path);
  // what can't be read now is no one else's
  if (found === undefined) return true;
  if (found.token !== token) return false;
  const file = await open(path, "r+").catch(() => undefined);
  await file?.write(content, 0).catch(() => undefined);
  await file?.close();
  return true;
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    const found = JSON.parse(await readFile(path, "utf8")) as Holder;
    return typeof found.token === "string" && Number.isInteger(found.pid) ? found : undefined;
  } catch {
    return undefined;
  }
}

async function describeSelf(): Promise<Holder> {
  return {
    token: randomUUID(),
    pid: process.pid,
    host: hostname(),
    space: processSpace(),
    started: await startOf(process.pid),
    since: new Date().toISOString(),
  };
}

/** When a process started, in ticks since the machine did; "" where the system has no /proc. */
async function startOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "");
  // the name in parentheses may hold anything
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}
