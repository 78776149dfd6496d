import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { membersOf } from "../../src/run/family.ts";
import type { Run } from "../../src/run/run-document.ts";
import { INTERRUPTED, interruption, paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";

const place = paperPlace(20, { refine: "none", chunks: 24 });
const { runOn } = place;

const isWork = (call: string) => /^(quantize|score|roundTrip)/.test(call);
const sweep = [
  { kind: "bpw", value: 3.5, text: "--bpw 3.5" },
  { kind: "bpw", value: 6, text: "--bpw 6" },
  { kind: "like", fileType: "Q4_K_M", text: "--like Q4_K_M" },
] as const;
const family = { sweep, family: true } as const;
const planOf = ({ rows }: Run) => rows.find(({ kind }) => kind === "plan");

describe("a family", () => {
  it("keeps the file of each size with its plan, recipes, proof and verdict", async () => {
    const result = await runOn(paperEngine(), family);
    const members = membersOf(result);
    expect(members.map(({ budget }) => budget)).toEqual(["--bpw 3.5", "--like Q4_K_M", "--bpw 6"]);
    const outputs = new Map(result.outputs?.map(({ path, sha256 }) => [path, sha256]));
    for (const member of members) {
      expect(member.path).toMatch(/^models\/plan-\d\.\d\dbpw\.gguf$/);
      expect((await stat(join(place.out, member.path))).size).toBe(member.fileBytes);
      expect(outputs.get(member.path)).toBe(member.sha256);
      const plan = JSON.parse(await readFile(join(place.out, member.plan), "utf8"));
      expect(plan.predicted.fileBytes).toBe(member.fileBytes);
      for (const recipe of ["recipe.sh", "tensor-types.txt"]) {
        expect(outputs.has(member.plan.replace(/json$/, recipe)), recipe).toBe(true);
      }
      const preset = result.rows.find(({ label }) => label === member.preset);
      expect(member.kldMinusPreset?.value).toBeCloseTo((member.kld?.mean ?? 0) - (preset?.kld?.mean ?? 0), 8);
      expect(member.verdict).toContain(member.preset);
    }
  });

  it("plans nothing that nobody asked for: without a knee the plan is the member nearest to the default budget", async () => {
    const engine = paperEngine();
    const result = await runOn(engine, { ...family, sweep: [sweep[0], sweep[1]], budget: { kind: "bpw", value: 5.5 } });
    const [small, large] = membersOf(result);
    expect(result.sweep?.knee).toBeUndefined();
    expect(result.family).toEqual({ chosen: "nearest", plan: large?.label });
    expect(planOf(result)).toMatchObject({ sha256: large?.sha256, fileBytes: large?.fileBytes });
    expect(small?.fileBytes).toBeLessThan(large?.fileBytes ?? 0);
    // one file under two names, made and scored once
    const [named, plan] = await Promise.all(
      [large?.path ?? "", "models/plan.gguf"].map((path) => stat(join(place.out, path))),
    );
    expect(plan?.ino).toBe(named?.ino);
    expect(engine.calls).not.toContain("quantize plan.gguf");
    expect(engine.calls.filter((call) => call.startsWith("score plan.gguf"))).toEqual([]);
    expect(result.rows.filter(({ kind }) => kind === "shuffle")).toHaveLength(3);
    expect(result.creditsSensitivity).toBeUndefined();
  });

  it("has a plan of its own where a budget beside the list is none of the list's", async () => {
    const budget = { kind: "bpw", value: 5 } as const;
    const result = await runOn(paperEngine(), { ...family, budget, budgetGiven: true });
    expect(result.family).toEqual({ chosen: "budget" });
    expect(membersOf(result).map(({ fileBytes }) => fileBytes)).not.toContain(planOf(result)?.fileBytes);
    expect(await readdir(join(place.out, "models"))).toHaveLength(4);
  });

  it("is one file for sizes that come out the same", async () => {
    const like = { kind: "like", fileType: "Q4_K_M", text: "--like Q4_K_M" } as const;
    const first = await runOn(paperEngine(), { ...family, sweep: [like] });
    const [only] = membersOf(first);
    await rm(place.out, { recursive: true });
    const size = { kind: "fileBytes", value: only?.fileBytes ?? 0, text: "--size" } as const;
    expect(membersOf(await runOn(paperEngine(), { ...family, sweep: [size, like] }))).toHaveLength(1);
  });

  it("goes on where it was interrupted, and makes a file that is gone again", async () => {
    const whole = await runOn(paperEngine(), family);
    const again = paperEngine();
    expect(await runOn(again, family)).toEqual(whole);
    expect(again.calls.filter(isWork)).toEqual([]);
    const [first, second] = membersOf(whole);
    await rm(join(place.out, first?.path ?? ""));
    await writeFile(join(place.out, second?.path ?? ""), "another");
    const mending = paperEngine();
    expect((await runOn(mending, family)).outputs).toEqual(whole.outputs);
    expect(mending.calls.filter((call) => call.startsWith("score"))).toEqual([]);

    place.out = await place.newOut();
    let scored = 0;
    const dying = paperEngine((call) => {
      if (call.startsWith("score plan-") && ++scored > 4) throw interruption();
    });
    await expect(runOn(dying, family)).rejects.toMatchObject(INTERRUPTED);
    const rest = paperEngine();
    const resumed = await runOn(rest, family);
    expect(resumed.outputs?.map(({ path }) => path)).toEqual(whole.outputs?.map(({ path }) => path));
    expect(rest.calls.filter((call) => call === `quantize ${first?.path.slice("models/".length)}`)).toEqual([]);
  });

  it("of other sizes is another run, also before its controls", async () => {
    const pointsOnly = paperEngine((call) => {
      if (call.startsWith("quantize shuffle")) throw interruption();
    });
    await expect(runOn(pointsOnly, family)).rejects.toMatchObject(INTERRUPTED);
    const fewer = runOn(paperEngine(), { ...family, sweep: sweep.slice(1) });
    await expect(fewer).rejects.toThrow(/the list of sizes was --bpw 3.5, --bpw 6, --like Q4_K_M, now/);
    const measured = runOn(paperEngine(), { sweep });
    await expect(measured).rejects.toThrow(/family/);
  });

  it("has each file with error feedback too, in types planned for it", async () => {
    const usual = { ...family, sweep: sweep.slice(0, 2), feedback: "on", imatrix: undefined } as const;
    const engine = paperEngine();
    const result = await runOn(engine, usual);
    const members = membersOf(result);
    expect(members).toHaveLength(2);
    for (const { label, path, feedback, plan } of members) {
      expect(feedback).toMatchObject({
        label: `${label}, error feedback`,
        path: path.replace(/\.gguf$/, "-feedback.gguf"),
        plan: plan.replace(/\.json$/, "-feedback.json"),
      });
      expect(feedback?.verdict).toBeDefined();
      expect((await stat(join(place.out, feedback?.path ?? ""))).size).toBe(feedback?.fileBytes);
    }
    expect(engine.calls.filter((call) => call.startsWith("codes of"))).toHaveLength(2);
    const coded = result.rows.find(({ kind }) => kind === "feedback");
    expect(members.map(({ feedback }) => feedback?.sha256)).toContain(coded?.sha256);
    const again = paperEngine();
    expect(await runOn(again, usual)).toEqual(result);
    expect(again.calls.filter(isWork)).toEqual([]);
  });
});
