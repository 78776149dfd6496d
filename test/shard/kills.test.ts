import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { makePlan } from "../../src/plan/make-plan.ts";
import { createRandom } from "../../src/random.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { MODEL, prism, type RunningPrism, scratchFolder, startPrism } from "../cli/prism.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";
import { killOnExit } from "./kill-on-exit.ts";
import { beginners, descendants, expectGone, expectOnePartEach, timeless } from "./workers.ts";

/** Of workers in the middle of a unit, in all; `npm run test:kills` has 25. */
const KILLS = Number(process.env.PRISM_KILLS ?? 8);
const QUANTIZE_KILLS = Math.floor(KILLS / 4);
const ANALYSIS_KILLS = KILLS - QUANTIZE_KILLS;
const WORKERS = 3;
/** A kill comes this long after a worker has begun a unit, at most. */
const MOST_DELAY_MS = 100;
const BACKEND = ["--backend", "reference"];

const folder = scratchFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const random = createRandom(25);
afterAll(folder.remove);

async function run(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await prism(args, folder.path);
  expect(code, stderr).toBe(0);
}

interface Kills {
  count: number;
  /** What ran below the workers that were killed. */
  readonly orphans: number[];
}

/** A worker for each index, several at a time, each started again until its job is done, while up to `most` are killed. */
async function runUnderFire(name: string, jobs: number, most: number): Promise<Kills> {
  const kills: Kills = { count: 0, orphans: [] };
  const running = new Set<RunningPrism>();
  const indexes = Array.from({ length: jobs }, (_, index) => index);
  let open = jobs;
  const worker = async () => {
    for (let index = indexes.shift(); index !== undefined; index = indexes.shift(), open--) {
      for (let code: number | null = null; code !== 0; ) {
        const started = startPrism(
          ["shard", "run", name, "--index", String(index), "--threads", "1", ...BACKEND, "--quiet"],
          folder.path,
        );
        killOnExit(started.child);
        running.add(started);
        const outcome = await started.outcome;
        running.delete(started);
        code = outcome.code;
        // six deaths over one unit: it is given up until somebody says otherwise
        if (code === 7) await run("shard", "retry", name);
        else expect([0, null], outcome.stderr).toContain(code);
      }
    }
  };
  const killer = async () => {
    while (kills.count < most && open > 0) {
      const begun = beginners(at(name));
      const victims = [...running].filter(({ child }) => begun.has(child.pid as number));
      const victim = victims[Math.floor(random() * victims.length)];
      await sleep(victim === undefined ? 5 : random() * MOST_DELAY_MS);
      if (victim === undefined || victim.child.exitCode !== null) continue;
      const below = descendants(victim.child.pid as number);
      if (!victim.child.kill("SIGKILL")) continue;
      await victim.outcome;
      if (victim.child.signalCode !== "SIGKILL") continue;
      kills.count++;
      kills.orphans.push(...below);
    }
  };
  await Promise.all([killer(), ...Array.from({ length: WORKERS }, worker)]);
  return kills;
}

test(`${ANALYSIS_KILLS} workers are killed amid an analysis: nothing is lost or counted twice, and the result is one machine's`, async () => {
  await copyFile(MODEL, at("model.gguf"));
  await run("analyze", "model.gguf", "-o", "whole.json", "--exact", "--no-cache", ...BACKEND, "--quiet");
  const whole = timeless(await readFile(at("whole.json"), "utf8"));
  let kills = 0;
  for (let campaign = 0; kills < ANALYSIS_KILLS; campaign++) {
    const name = `analysis-${campaign}`;
    await run("shard", "plan", "model.gguf", "--dir", name, "--jobs", "4", "--exact", ...BACKEND, "--quiet");
    const { count, orphans } = await runUnderFire(name, 4, ANALYSIS_KILLS - kills);
    expect(count).toBeGreaterThan(0);
    kills += count;
    await expectGone(orphans);
    await expectOnePartEach(at(name), ["json"]);
    await run("shard", "merge", name, "-o", `${name}.json`, "--quiet");
    expect(timeless(await readFile(at(`${name}.json`), "utf8"))).toBe(whole);
  }
});

test(`${QUANTIZE_KILLS} workers are killed amid a quantized file: it is one machine's to the byte`, async () => {
  const analysis = await madeUpAnalysis(at("model.gguf"));
  const budget = { kind: "like", fileType: "Q4_K_M" } as const;
  const plan = makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget });
  await writeFile(at("plan.json"), JSON.stringify(plan));
  await run("quantize", "plan.json", "-o", "whole.gguf", "--quiet");
  const whole = await readFile(at("whole.gguf"));
  let kills = 0;
  for (let campaign = 0; kills < QUANTIZE_KILLS; campaign++) {
    const name = `quantize-${campaign}`;
    const stage = ["--stage", "quantize", "--plan", "plan.json", ...BACKEND];
    await run("shard", "plan", "model.gguf", "--dir", name, "--jobs", "4", ...stage, "--quiet");
    const { count, orphans } = await runUnderFire(name, 4, QUANTIZE_KILLS - kills);
    expect(count).toBeGreaterThan(0);
    kills += count;
    await expectGone(orphans);
    await expectOnePartEach(at(name), ["json", "bin"]);
    await run("shard", "merge", name, "-o", `${name}.gguf`, "--quiet");
    expect(whole.equals(await readFile(at(`${name}.gguf`)))).toBe(true);
  }
});
