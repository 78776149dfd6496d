import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { prism, scratchFolder } from "./prism.ts";

const RELEASED = join(import.meta.dirname, "../documents/first-release");
const place = scratchFolder();
const at = (name: string) => join(place.path, name);
const run = (...args: string[]) => prism(args, place.path);

beforeAll(() => {
  for (const folder of ["run", "alone"]) mkdirSync(at(folder));
  for (const name of ["probes.json", "analysis.json"]) copyFileSync(join(RELEASED, name), at(`run/${name}`));
  copyFileSync(join(RELEASED, "probes.json"), at("alone/probes.json"));
  const { probes, ...bare } = JSON.parse(readFileSync(at("run/probes.json"), "utf8"));
  // of the classes of that analysis
  const { tensors } = JSON.parse(readFileSync(at("run/analysis.json"), "utf8")) as Pick<Analysis, "tensors">;
  const names = tensors.filter((tensor) => tensor.class === "attn_q").map(({ name }) => name);
  const whole = { group: "attn_q", tensors: names, type: "Q3_K", kld: 0.01, se: 0.001, chunks: 8 };
  writeFileSync(at("run/probes.json"), JSON.stringify({ ...bare, probes: [...probes, whole] }));
  writeFileSync(at("bare.json"), JSON.stringify(bare));
  writeFileSync(at("drift.json"), JSON.stringify({ ...bare, lossUnit: "drift", probes }));
});
afterAll(place.remove);

describe("prism prior", () => {
  it("shows the models of the prior that comes with PRISM, and whose measurements they are", async () => {
    const { code, stdout } = await run("prior", "show");
    expect(code).toBe(0);
    expect(stdout).toMatch(/Qwen3\.5-4B +qwen35 +4\.21e9 +28 +0\.97/);
    expect(stdout).toContain("Thireus");
  });

  it("adds a run, by its directory or its probes.json, for plans to go by", async () => {
    const added = await run("prior", "add", "run");
    expect(added).toMatchObject({ code: 0, stderr: "" });
    expect(added.stdout).toMatch(/\+ Books Llama 8M +llama +0\.00839e9 +3 /);
    expect((await run("prior", "add", "run/probes.json")).stderr).toMatch(/prior\.json exists; give --force/);
    const again = await run("prior", "add", "run/probes.json", "--prior", "prior.json", "-o", "prior.json", "--force");
    expect(again.stdout).toContain("prior 1 + 1 model: 15 models");
    const plan = async (...options: string[]) => {
      const made = await run("plan", "run/analysis.json", "--like", "Q4_K_M", "--force", "--json", ...options);
      return made.code === 0 ? JSON.parse(made.stdout).sensitivity : made.stderr;
    };
    expect(await plan()).toEqual({ mode: "stock", version: "1" });
    expect(await plan("--prior", "prior.json")).toEqual({ mode: "blend", version: "1, prior 1 + 1 model" });
    expect(await plan("--prior", "prior.json", "--sensitivity", "prior")).toMatchObject({ mode: "prior" });
    expect(await plan("--prior", "prior.json", "--sensitivity", "stock")).toMatch(/stock goes by no prior/);
    expect(await plan("--prior", "prior.json", "-o", "prior.json")).toMatch(/prior\.json is an input too/);
  });

  it("says what is wrong with what can't be added, or is no prior", async () => {
    const wrong: readonly (readonly [message: RegExp, ...args: string[]])[] = [
      [/^prism: name the runs to add/, "add"],
      [/absent.probes\.json: no such file/, "add", "absent"],
      [/alone.analysis\.json: is gone, .*give the directory of a run/, "add", "alone"],
      [/drift\.json: says what damage does to embeddings/, "add", "drift.json"],
      [/bare\.json: says densities but no model or no probes/, "add", "bare.json"],
      [/expected a sensitivity prior .*got the text "prism\.sensitivity\/1"; .*prism prior add/, "show", "bare.json"],
      [/Allowed choices are add, show/, "shrink"],
    ];
    for (const [message, ...args] of wrong) {
      const { code, stdout, stderr } = await run("prior", ...args, ...(args[0] === "add" ? ["-o", "new.json"] : []));
      expect(code).toBeGreaterThan(0);
      expect(stdout).toBe("");
      expect(stderr).toMatch(message);
    }
  });
});
