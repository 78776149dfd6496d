import { execFileSync } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, rm, statfs, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { MACHINE } from "../../src/disk/aside-file.ts";
import { writeSealed } from "../../src/disk/sealed-file.ts";
import { readAttempts } from "../../src/shard/attempts.ts";
import type { Campaign } from "../../src/shard/campaign-document.ts";
import type { CampaignStatus } from "../../src/shard/status.ts";
import { MODEL, prism, scratchFolder, startPrism } from "../cli/prism.ts";
import { killOnExit } from "./kill-on-exit.ts";
import { spoilTensor } from "./spoil-tensor.ts";

const UNITS = 58;
/** Above the numbers of processes. */
const NOBODY = 2 ** 30;

const folder = scratchFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const disk = at("disk");
const mounted = await mountDisk();
afterAll(() => {
  if (mounted) execFileSync("umount", [disk]);
  folder.remove();
});

async function mountDisk(): Promise<boolean> {
  await mkdir(disk);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], { stdio: "ignore" });
    return true;
  } catch {
    return false; // not root, or no Linux: the test is skipped, visibly
  }
}

async function planned(name: string, model = MODEL, ...options: readonly string[]): Promise<Campaign["units"]> {
  const made = await prism(["shard", "plan", model, "--dir", name, "--jobs", "2", "--quiet", ...options], folder.path);
  expect(made.code, made.stderr).toBe(0);
  return (JSON.parse(await readFile(at(name, "campaign.json"), "utf8")) as Campaign).units;
}

const work = (name: string, ...options: readonly string[]) => prism(["shard", "run", name, ...options], folder.path);
const merge = (name: string) => prism(["shard", "merge", name, "-o", `${name}.json`], folder.path);
const oneLine = (text: string) => text.replaceAll(/\s+/g, " ");

async function statusOf(name: string): Promise<CampaignStatus> {
  const { stdout } = await prism(["shard", "status", name, "--json"], folder.path);
  return JSON.parse(stdout) as CampaignStatus;
}

/** An attempt of another machine, made so many seconds ago by the clock of the file system. */
async function leaveAttempt(name: string, unit: string, host: string, secondsAgo: number): Promise<void> {
  const path = at(name, "attempts", `${unit}.${Buffer.from(host.padEnd(8, "-")).toString("hex")}.json`);
  await mkdir(at(name, "attempts"), { recursive: true });
  await writeFile(path, JSON.stringify({ unit, host, pid: 1 }));
  const time = Date.now() / 1000 - secondsAgo;
  await utimes(path, time, time);
}

test("what is half written or of nobody is never merged, and is made again", async () => {
  const units = await planned("half");
  expect(units.length).toBe(UNITS);
  expect((await work("half")).code).toBe(0);
  expect((await merge("half")).code).toBe(0);
  const whole = JSON.parse(await readFile(at("half.json"), "utf8"));
  const parts = at("half", "parts");
  const names = await readdir(parts);
  const of = (index: number) => join(parts, names.find((file) => file.startsWith(units[index]?.key ?? "")) ?? "");
  await writeFile(of(0), "");
  await writeFile(of(1), (await readFile(of(1))).subarray(0, 200));
  await writeFile(of(2), "}garbage{");
  // one unit's part under another's name
  await copyFile(of(3), of(4));
  await writeFile(join(parts, `.${units[5]?.key}.${"1".repeat(32)}.json.0.1-00000000.part`), "{");
  await writeFile(join(parts, `${"f".repeat(32)}.${"1".repeat(32)}.json`), "{}");
  await writeFile(at("half", "attempts", `${units[0]?.key}.${"0".repeat(16)}.json`), '{"unit":');
  await rm(at("half.json"));

  const incomplete = await merge("half");
  expect(incomplete.code).toBe(7);
  expect(oneLine(incomplete.stderr)).toContain(`4 of ${UNITS} parts are missing`);
  for (const index of [0, 1, 2, 4]) {
    const { tensor } = (units[index] as Campaign["units"][number]).of as { tensor: string };
    expect(incomplete.stderr).toContain(tensor);
  }
  // the attempt that nobody can read may be of a worker that lives: whoever has the index does its units all the same
  for (const index of ["0", "1"]) expect((await work("half", "--index", index)).code).toBe(0);
  expect((await merge("half")).code).toBe(0);
  const again = JSON.parse(await readFile(at("half.json"), "utf8"));
  expect({ ...again, createdAt: "" }).toEqual({ ...whole, createdAt: "" });

  await writeSealed(of(0), "no JSON");
  const strange = await prism(["shard", "merge", "half", "-o", "strange.json"], folder.path);
  expect([strange.code, oneLine(strange.stderr)]).toEqual([1, expect.stringContaining("is no part of a campaign")]);
});

test("a worker is under way by the clock of the file system: what is long past, or in its future, is of none", async () => {
  const units = await planned("clock");
  for (const [index, [host, age]] of (
    [
      ["fresh", 5],
      ["past", 3600],
      ["future", -3600],
    ] as const
  ).entries()) {
    await leaveAttempt("clock", units[index]?.key ?? "", host, age);
  }
  expect(await statusOf("clock")).toMatchObject({ underWay: 1, hosts: ["fresh"], lost: 2 });
  const working = startPrism(["shard", "run", "clock"], folder.path);
  killOnExit(working.child);
  const left = { finished: UNITS - 1, underWay: 1, openJobs: [units[0]?.job] };
  await expect.poll(() => statusOf("clock"), { timeout: 60_000, interval: 500 }).toMatchObject(left);
  expect(working.child.exitCode).toBeNull();
  // its worker died: who waits for it takes what it had
  await leaveAttempt("clock", units[0]?.key ?? "", "fresh", 3600);
  expect((await working.outcome).code).toBe(0);
  expect(await statusOf("clock")).toMatchObject({ finished: UNITS, underWay: 0, lost: 0 });
});

test("the worker of another machine of the same name is at work, whatever runs here by its number", async () => {
  const unit = "0".repeat(32);
  await mkdir(at("named", "attempts"), { recursive: true });
  for (const [index, machine] of [MACHINE, "00000000"].entries()) {
    const attempt = { unit, host: hostname(), machine, pid: NOBODY };
    await writeFile(at("named", "attempts", `${unit}.${String(index).repeat(16)}.json`), JSON.stringify(attempt));
  }
  const found = (await readAttempts(at("named"))).get(unit) ?? [];
  expect(found.map(({ state }) => state).sort()).toEqual(["died", "under way"]);
});

test("a tensor of NaN is given up after three tries, named, and kept from no other; retry lets it be tried again", async () => {
  const bad = "blk.3.ffn_up.weight";
  await copyFile(MODEL, at("nan.gguf"));
  await spoilTensor(at("nan.gguf"), bad);
  await planned("nan", "nan.gguf", "--force-findings");
  const codes: (number | null)[] = [];
  for (let tries = 0; tries < 4; tries++) codes.push((await work("nan")).code);
  expect(codes).toEqual([75, 75, 7, 7]);
  expect(await statusOf("nan")).toMatchObject({
    finished: UNITS - 1,
    openJobs: [],
    poisoned: [{ of: { tensor: bad }, error: expect.stringContaining("NaN") }],
  });
  const incomplete = await merge("nan");
  expect(incomplete.code).toBe(7);
  expect(oneLine(incomplete.stderr)).toMatch(/blk\.3\.ffn_up\.weight of job \d \(given up: .*NaN/);
  expect((await prism(["shard", "retry", "nan"], folder.path)).stdout).toContain("1 units may be tried again");
  expect((await work("nan")).code).toBe(75);
});

test.skipIf(!mounted)(
  "a disk that is full ends the worker for another try, which goes on where there is space",
  async () => {
    await planned("disk/c");
    const { bavail, bsize } = await statfs(disk);
    await writeFile(join(disk, "other"), Buffer.alloc((bavail - 6) * bsize));
    const full = await work("disk/c");
    expect([full.code, oneLine(full.stderr)]).toEqual([75, expect.stringContaining("no space left")]);
    expect(await statusOf("disk/c")).toMatchObject({ lost: 0, underWay: 0, poisoned: [] });
    await rm(join(disk, "other"));
    const freed = await work("disk/c");
    expect(freed.code, freed.stderr).toBe(0);
    expect((await merge("disk/c")).code).toBe(0);
  },
);
