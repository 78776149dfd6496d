import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EngineAnswer } from "../../src/verbs/shard-engines.ts";
import { MODEL, type Outcome, prism, scratchFolder } from "../cli/prism.ts";
import { noSlurm, type SlurmCluster, startSlurm } from "./slurm-cluster.ts";
import { expectOnePartEach, killWorkers, timeless } from "./workers.ts";

const BACKEND = ["--backend", "reference"];
/** For every shell, for sbatch, and for who splits words. */
const HOSTILE = "a b'$(touch x)\"%j;\n&`touch y`";

const folder = scratchFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const oneLine = (text: string) => text.replaceAll(/\s+/g, " ");
afterAll(folder.remove);

describe.skipIf(noSlurm() !== undefined)(`Slurm${noSlurm() === undefined ? "" : ` (skipped: ${noSlurm()})`}`, () => {
  let slurm: SlurmCluster;
  beforeAll(async () => {
    slurm = await startSlurm({ cpus: 2 });
    await copyFile(MODEL, at("model.gguf"));
  });
  afterAll(() => slurm?.stop());

  const shard = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    prism(["shard", ...args], folder.path, { ...slurm.env, ...env });
  const submit = (name: string, env: NodeJS.ProcessEnv = {}, ...options: readonly string[]) =>
    shard(["submit", name, "--slurm", "--threads", "1", ...options], env);
  const succeed = (outcome: Outcome) => expect(outcome.code, outcome.stderr).toBe(0);

  async function planned(name: string, ...options: readonly string[]): Promise<void> {
    succeed(await shard(["plan", "model.gguf", "--dir", name, "--jobs", "8", ...BACKEND, "--quiet", ...options]));
  }

  async function statusOf(name: string): Promise<{ finished: number; units: number; engines: EngineAnswer[] }> {
    return JSON.parse((await shard(["status", name, "--json"])).stdout);
  }

  /** Numbers of arrays that wait or run. */
  async function arrays(): Promise<string[]> {
    const lines = (await slurm.client("squeue", "-h", "-o", "%F %t")).split("\n").filter((line) => /\S/.test(line));
    return [...new Set(lines.filter((line) => !line.endsWith("CG")).map((line) => line.split(" ")[0] as string))];
  }

  async function ended(): Promise<void> {
    while ((await arrays()).length > 0) await sleep(200);
  }

  /** A sbatch that does this, and finds the real one in $SBATCH. */
  function sbatchThat(does: string): NodeJS.ProcessEnv {
    mkdirSync(at("bin"), { recursive: true });
    writeFileSync(at("bin/sbatch"), `#!/bin/sh\n${does}\n`, { mode: 0o755 });
    return { PATH: `${at("bin")}:${process.env.PATH}`, SBATCH: "/usr/bin/sbatch" };
  }

  test("an array of 8 on 2 processors, 3 of its workers killed, makes one machine's analysis, in whatever folder", async () => {
    succeed(
      await prism(["analyze", "model.gguf", "-o", "whole.json", "--exact", "--no-cache", ...BACKEND], folder.path),
    );
    await planned(HOSTILE, "--exact");
    const submitted = await submit(HOSTILE);
    succeed(submitted);
    const [array] = await arrays();
    expect(submitted.stdout).toContain(`submitted 8 indexes to Slurm: array ${array}`);
    // while it is there it is not submitted again
    const twice = await submit(HOSTILE);
    expect([twice.code, oneLine(twice.stderr)]).toEqual([2, expect.stringContaining(`already: array ${array}`)]);
    expect((await statusOf(HOSTILE)).engines).toEqual([
      { engine: "slurm", running: expect.any(Number), waiting: expect.any(Number) },
    ]);
    let isOver = false;
    const over = ended().then(() => {
      isOver = true;
    });
    expect(await killWorkers(at(HOSTILE), 3, () => isOver)).toBe(3);
    await over;
    await expectOnePartEach(at(HOSTILE), ["json"]);
    succeed(await shard(["merge", HOSTILE, "-o", "merged.json"]));
    expect(timeless(await readFile(at("merged.json"), "utf8"))).toBe(
      timeless(await readFile(at("whole.json"), "utf8")),
    );
    const logs = readdirSync(at(HOSTILE, "logs"));
    expect(logs.sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((task) => `slurm-${array}-${task}.log`));
    const log = logs.map((name) => readFileSync(at(HOSTILE, "logs", name), "utf8")).join("");
    expect([log.match(/exit 0$/gm)?.length, log.match(/exit 137$/gm)?.length]).toEqual([8, 3]);
    expect(readdirSync(folder.path)).not.toContain("x");
    expect((await statusOf(HOSTILE)).engines).toEqual([{ engine: "slurm", running: 0, waiting: 0 }]);
    expect((await submit(HOSTILE)).stdout).toContain("nothing to submit: all units have parts");
  });

  test("a submitter that is killed before or after sbatch leaves what can be gone on with, and never two arrays", async () => {
    await planned("killed", "--exact");
    const dying = { ...sbatchThat("env > environment; kill -9 $PPID; exit 1"), PRISM_REDIS_PASSWORD: "s3cret" };
    expect((await submit("killed", dying)).code).toBe(null);
    expect(readFileSync(at("environment"), "utf8")).not.toContain("s3cret");
    expect([await arrays(), (await statusOf("killed")).engines]).toEqual([[], []]);
    expect((await submit("killed", sbatchThat('"$SBATCH" "$@" && kill -9 $PPID'))).code).toBe(null);
    const [array, ...others] = await arrays();
    expect(others).toEqual([]);
    // without a mark, found all the same, and then marked
    expect((await statusOf("killed")).engines).toEqual([]);
    const again = await submit("killed");
    expect([again.code, oneLine(again.stderr)]).toEqual([2, expect.stringContaining(`already: array ${array}`)]);
    expect(await arrays()).toEqual([array]);
    expect((await statusOf("killed")).engines).toMatchObject([{ engine: "slurm" }]);

    // and cancelled: parts stay, and what is left is submitted again
    while ((await statusOf("killed")).finished === 0) await sleep(50);
    const cancelled = await shard(["cancel", "killed", "--json"]);
    expect(JSON.parse(cancelled.stdout)).toMatchObject({ cancelled: [{ engine: "slurm" }] });
    await ended();
    const { finished, units, engines } = await statusOf("killed");
    expect([finished > 0 && finished < units, engines]).toEqual([true, []]);
    succeed(await submit("killed"));
    await ended();
    expect(await statusOf("killed")).toMatchObject({ finished: units });
    expect((await shard(["cancel", "killed"])).stdout).toContain("nothing of this campaign");
  });

  test("what Slurm refuses is said in its words, and its absence; the state goes on without it", async () => {
    await planned("refused");
    const strange = await submit("refused", {}, "--slurm-option", "--partition=moon");
    expect([strange.code, oneLine(strange.stderr)]).toEqual([2, expect.stringContaining("invalid partition")]);
    const word = await submit("refused", {}, "--slurm-option=script.sh");
    expect([word.code, oneLine(word.stderr)]).toEqual([2, expect.stringContaining("expected one option of sbatch")]);
    const nowhere = await submit("refused", { PATH: at("nothing") });
    expect([nowhere.code, oneLine(nowhere.stderr)]).toEqual([2, expect.stringContaining("there is no squeue")]);
    // an own --array or --job-name can't hide the campaign, and of two submitters at once one is refused
    const own = ["--slurm-option=--job-name=other", "--slurm-option=--array=0", "--slurm-option=-H"];
    const both = await Promise.all([submit("refused", {}, ...own), submit("refused", {}, ...own)]);
    expect(both.map(({ code }) => code).sort()).toEqual([0, 2]);
    expect(await arrays()).toHaveLength(1);
    const { stdout } = await shard(["status", "refused"], { PATH: at("nothing") });
    expect(oneLine(stdout)).toContain("! there is no squeue on this machine's PATH");
    expect((await statusOf("refused")).engines).toEqual([{ engine: "slurm", running: 0, waiting: 8 }]);
    succeed(await shard(["cancel", "refused"]));
    // a mark of something else is said, and asks nobody
    writeFileSync(at("refused/submitted/slurm.json"), '{"schema":"prism.submission/1","engine":"slurm; touch x"}');
    const damaged = await shard(["status", "refused"]);
    expect([damaged.code, oneLine(damaged.stdout)]).toEqual([0, expect.stringContaining("slurm.json: the mark of")]);
  });
});
