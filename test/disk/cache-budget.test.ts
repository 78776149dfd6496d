import { mkdir, mkdtemp, readdir, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeRoom } from "../../src/disk/cache-budget.ts";
import { defaultCacheDir } from "../../src/disk/cache-dir.ts";
import { cacheKey } from "../../src/disk/cache-key.ts";

const HOUR_S = 3600;
const NOW_S = 2_000_000_000;
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-cache-"));
});
afterEach(() => rm(dir, { recursive: true }));

async function addFile(name: string, bytes: number, hoursAgo: number): Promise<void> {
  const path = join(dir, name);
  await writeFile(path, "");
  await truncate(path, bytes);
  await utimes(path, NOW_S - hoursAgo * HOUR_S, NOW_S - hoursAgo * HOUR_S);
}

const room = (bytes: number, limit: number) => makeRoom(dir, bytes, limit, NOW_S * 1000);

describe("room in the cache", () => {
  it("is made by deleting the logits longest unused, no more than needed", async () => {
    await addFile("old.logits", 400, 9);
    await addFile("older.logits", 400, 50);
    await addFile("new.logits", 400, 2);
    expect(await room(300, 1200)).toBe(true);
    expect((await readdir(dir)).sort()).toEqual(["new.logits", "old.logits"]);
    expect(await room(100, 1200)).toBe(true);
    expect(await readdir(dir)).toHaveLength(2);
  });

  it("is not made at the cost of logits that an evaluation is using, nor of half-written ones", async () => {
    await addFile("used.logits", 400, 0.1);
    await addFile(".next.logits.77.part", 400, 3);
    expect(await room(300, 1000)).toBe(false);
    expect(await readdir(dir)).toHaveLength(2);
  });

  it("is made by deleting what a killed process left half-written a day ago", async () => {
    await addFile(".next.logits.77.part", 400, 30);
    expect(await room(300, 500)).toBe(true);
    expect(await readdir(dir)).toEqual([]);
  });

  it("is refused, and nothing deleted, where it would not be enough", async () => {
    await addFile("old.logits", 400, 9);
    expect(await room(2000, 1000)).toBe(false);
    expect(await room(1e18, 1e19)).toBe(false);
    expect(await readdir(dir)).toEqual(["old.logits"]);
  });

  it("does not stumble over a folder", async () => {
    await mkdir(join(dir, "folder"));
    expect(await room(1, 10)).toBe(true);
  });
});

describe("the cache", () => {
  it("has names that depend on every part and on their order", () => {
    expect(cacheKey(["a", 1])).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set([cacheKey(["a", 1]), cacheKey(["a", 2]), cacheKey([1, "a"]), cacheKey(["a"])]).size).toBe(4);
  });

  it("lies where PRISM_CACHE_DIR or XDG_CACHE_HOME says, else in the home", () => {
    expect(defaultCacheDir({ PRISM_CACHE_DIR: "/x" })).toBe("/x");
    expect(defaultCacheDir({ PRISM_CACHE_DIR: "", XDG_CACHE_HOME: "/y" })).toBe(join("/y", "prism"));
    expect(defaultCacheDir({})).toBe(join(homedir(), ".cache", "prism"));
  });
});
