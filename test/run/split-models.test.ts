import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openModel } from "../../src/gguf/open.ts";
import { membersOf } from "../../src/run/family.ts";
import { modelFiles } from "../../src/run/model-files.ts";
import { runDirectory } from "../../src/run/run-state.ts";
import { INTERRUPTED, interruption, paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";

const place = paperPlace(20, { refine: "none", chunks: 24 });
const { runOn } = place;

const models = async () => (await readdir(join(place.out, "models"))).sort();
const isWork = (call: string) => /^(quantize|score|roundTrip)/.test(call);
const planFiles = () => modelFiles(runDirectory(place.out), "plan");

/** Bytes that the plan's file takes more than once. */
async function halfOfPlan(): Promise<number> {
  const [path = ""] = await planFiles();
  return Math.ceil((await stat(path)).size * 0.6);
}

describe("a run whose models are to be split", () => {
  it("measures the whole file, and leaves its parts in the place of it", async () => {
    const whole = await runOn(paperEngine());
    const splitMaxBytes = await halfOfPlan();
    const [unsplit = ""] = await planFiles();
    const known = await openModel(unsplit);
    await known.close();

    const mending = paperEngine();
    const result = await runOn(mending, { splitMaxBytes });
    expect(mending.calls.filter(isWork)).toEqual([]);
    expect(result.rows).toEqual(whole.rows);
    const parts = await models();
    expect(parts[0]).toBe(`plan-00001-of-0000${parts.length}.gguf`);
    expect(parts.length).toBeGreaterThan(1);
    for (const part of parts)
      expect((await stat(join(place.out, "models", part))).size).toBeLessThanOrEqual(splitMaxBytes);
    expect(result.split?.[0]).toMatchObject({ path: "models/plan.gguf", sha256: result.rows[1]?.sha256 });
    const outputs = result.outputs?.map(({ path }) => path) ?? [];
    for (const part of parts) expect(outputs).toContain(`models/${part}`);
    expect(outputs).not.toContain("models/plan.gguf");
    const read = await openModel((await planFiles())[0] ?? "");
    await read.close();
    const types = (model: typeof read.model) => model.tensors.map(({ name, type, bytes }) => ({ name, type, bytes }));
    expect(types(read.model)).toEqual(types(known.model));
  });

  it("does nothing again, makes again what is gone or changed, and follows what is asked now", async () => {
    await runOn(paperEngine());
    const splitMaxBytes = await halfOfPlan();
    const result = await runOn(paperEngine(), { splitMaxBytes });
    const parts = await models();
    const again = paperEngine();
    expect(await runOn(again, { splitMaxBytes })).toEqual(result);
    expect(again.calls.filter(isWork)).toEqual([]);

    await writeFile(join(place.out, "models", parts[1] ?? ""), "another");
    expect(await runOn(paperEngine(), { splitMaxBytes })).toEqual(result);
    await rm(join(place.out, "models", parts[0] ?? ""));
    expect(await planFiles()).toEqual([]);
    expect(await runOn(paperEngine(), { splitMaxBytes })).toEqual(result);

    const whole = await runOn(paperEngine());
    expect(whole.split).toBeUndefined();
    expect(await models()).toEqual(["plan.gguf"]);
    expect(await runOn(paperEngine(), { splitMaxBytes: 1e9 })).toEqual(whole);
    await runOn(paperEngine(), { splitMaxBytes });
    await runOn(paperEngine(), { force: true });
    expect(await models()).toEqual(["plan.gguf"]);
  });

  it("goes on where it was interrupted, and of a source that is one file keeps one", async () => {
    await runOn(paperEngine());
    const splitMaxBytes = await halfOfPlan();
    place.out = await place.newOut();
    const dying = paperEngine((call) => {
      if (call.startsWith("quantize shuffle")) throw interruption();
    });
    await expect(runOn(dying, { splitMaxBytes })).rejects.toMatchObject(INTERRUPTED);
    expect(await models()).toContain("plan.gguf");
    expect((await runOn(paperEngine(), { splitMaxBytes })).split).toHaveLength(1);
    expect((await runOn(paperEngine(), { keepSplit: true })).split).toBeUndefined();
    expect(await models()).toEqual(["plan.gguf"]);
  });

  it("refuses a size that no part can have before the files are made", async () => {
    const engine = paperEngine();
    await expect(runOn(engine, { splitMaxBytes: 2000 })).rejects.toThrow(/--split-max-size .* alone takes/);
    expect(engine.calls.filter((call) => call.startsWith("quantize"))).toEqual([]);
  });

  it("has the members of a family in parts, and the plan's are those of its member", async () => {
    const sweep = [
      { kind: "bpw", value: 3.5, text: "--bpw 3.5" },
      { kind: "bpw", value: 6, text: "--bpw 6" },
    ] as const;
    const family = { sweep, family: true } as const;
    await runOn(paperEngine(), family);
    const asked = { ...family, splitMaxBytes: await halfOfPlan() };
    const result = await runOn(paperEngine(), asked);
    const own = membersOf(result).find(({ label }) => label === result.family?.plan);
    const slug = own?.path.replace(/^models\/|\.gguf$/g, "") ?? "";
    const [plan = "", ...more] = await planFiles();
    const [member = ""] = await modelFiles(runDirectory(place.out), slug);
    expect(more.length).toBeGreaterThan(0);
    expect((await stat(plan)).ino).toBe((await stat(member)).ino);
    const again = paperEngine();
    expect(await runOn(again, asked)).toEqual(result);
    expect(again.calls.filter(isWork)).toEqual([]);
    for (const path of await planFiles()) await rm(path);
    expect(await runOn(paperEngine(), asked)).toEqual(result);
  });
});
