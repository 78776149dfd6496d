import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ranges, slurmScript } from "../../src/shard/engines/slurm-script.ts";
import { MODEL, prism, scratchFolder } from "../cli/prism.ts";
import { spoilTensor } from "./spoil-tensor.ts";

const folder = scratchFolder();
const at = (...names: string[]) => join(folder.path, ...names);
afterAll(folder.remove);

async function planned(name: string, ...options: readonly string[]): Promise<void> {
  const plan = ["shard", "plan", "model.gguf", "--dir", name, "--quiet", ...options];
  const { code, stderr } = await prism(plan, folder.path);
  expect(code, stderr).toBe(0);
  mkdirSync(at(name, "logs"));
}

/** Run a task as slurmd does, and return its exit code and log, if it could write one. */
async function task(name: string, stride: number, jobs: number, number: number): Promise<[number, string]> {
  const script = slurmScript({ directory: at(name), campaign: { jobs }, stride, worker: { backend: "auto" } });
  const env = { ...process.env, SLURM_ARRAY_JOB_ID: "7", SLURM_ARRAY_TASK_ID: String(number), SLURM_CPUS_ON_NODE: "2" };
  const code = await new Promise<number>((resolve) => {
    const child = execFile("/bin/sh", ["-s"], { env }, (error) => resolve(error === null ? 0 : Number(error.code)));
    child.stdin?.end(script);
  });
  const log = at(name, "logs", `slurm-7-${number}.log`);
  return [code, existsSync(log) ? readFileSync(log, "utf8") : ""];
}

test("a task does the indexes that Slurm's limit leaves beyond its own", async () => {
  copyFileSync(MODEL, at("model.gguf"));
  await planned("c", "--jobs", "5");
  const [code, log] = await task("c", 2, 5, 0);
  expect([code, log.match(/^index .*/gm)]).toEqual([
    0,
    [0, 2, 4].map((index) => expect.stringMatching(`^index ${index}, try 1 on .*: exit 0$`)),
  ]);
  const { openJobs } = JSON.parse((await prism(["shard", "status", "c", "--json"], folder.path)).stdout);
  expect(openJobs).toEqual([1, 3]);
});

test("a task tries again what may be tried again, and ends where all that is left was given up", async () => {
  copyFileSync(MODEL, at("model.gguf"));
  await spoilTensor(at("model.gguf"), "blk.3.ffn_up.weight");
  await planned("nan", "--jobs", "1", "--force-findings");
  const [code, log] = await task("nan", 1, 1, 0);
  expect([code, log.match(/exit \d+$/gm)]).toEqual([7, ["exit 75", "exit 75", "exit 7"]]);
});

test("a task whose log can't be written does its work all the same", async () => {
  copyFileSync(MODEL, at("model.gguf"));
  await planned("mute", "--jobs", "1");
  rmSync(at("mute", "logs"), { recursive: true });
  writeFileSync(at("mute", "logs"), "");
  expect(await task("mute", 1, 1, 0)).toEqual([0, ""]);
});

test("numbers are written as ranges", () => {
  expect(ranges([0, 1, 2, 5, 7, 8])).toBe("0-2,5,7-8");
});
