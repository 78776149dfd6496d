import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { lockFolder } from "../../src/disk/folder-lock.ts";

let dir: string;
let path: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-lock-"));
  path = join(dir, "run.lock");
});
afterEach(() => rm(dir, { recursive: true }));

/** What a process left that is no more. */
async function leave(fields: object): Promise<void> {
  const lock = await lockFolder(path);
  const own = JSON.parse(await readFile(path, "utf8"));
  await lock.release();
  await writeFile(path, JSON.stringify({ ...own, token: "left", ...fields }));
}

const ended = () => spawnSync(process.execPath, ["-e", "0"]).pid;

it("is held by one, who is named, until it is released; nothing is left behind", async () => {
  const lock = await lockFolder(path);
  await expect(lockFolder(path)).rejects.toThrow(`in use by process ${process.pid} on `);
  await lock.release();
  await (await lockFolder(path)).release();
  expect(await readdir(dir)).toEqual([]);
});

it("is taken over from a process that is no more, by one of many", async () => {
  await leave({ pid: ended() });
  const locks = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(path)));
  const [lock, ...others] = locks.filter(({ status }) => status === "fulfilled");
  expect(others).toEqual([]);
  expect(lock?.status).toBe("fulfilled");
  expect(await readdir(dir)).toEqual(["run.lock"]);
});

it("is taken over where the process of that number is another one", async () => {
  await leave({ started: "1" });
  if (process.platform === "linux") await (await lockFolder(path)).release();
});

it("of another machine is held as long as it is renewed", async () => {
  await leave({ host: "elsewhere", pid: ended() });
  await expect(lockFolder(path)).rejects.toThrow(/in use by process \d+ on elsewhere/);
  const before = new Date(Date.now() - 3_600_000);
  await utimes(path, before, before);
  await (await lockFolder(path)).release();
});

it("that is damaged is held while it is fresh, and removed later", async () => {
  await writeFile(path, "{");
  await expect(lockFolder(path)).rejects.toThrow("in use by another process");
  const before = new Date(Date.now() - 3_600_000);
  await utimes(path, before, before);
  await (await lockFolder(path)).release();
});

it("tells the holder that it was taken over", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  try {
    const lock = await lockFolder(path);
    const own = JSON.parse(await readFile(path, "utf8"));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(lock.lost.aborted).toBe(false);
    await writeFile(path, JSON.stringify({ ...own, token: "another" }));
    vi.advanceTimersByTime(20_000);
    await vi.waitFor(() => expect(lock.lost.aborted).toBe(true));
    expect(String(lock.lost.reason)).toContain("was taken over by another process");
    await lock.release();
    expect(JSON.parse(await readFile(path, "utf8")).token).toBe("another");
  } finally {
    vi.useRealTimers();
  }
});
