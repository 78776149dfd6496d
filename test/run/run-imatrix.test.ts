import { appendFile, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SILENT } from "../../src/bench.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { readFacts } from "../../src/gguf/facts.ts";
import { readImatrix } from "../../src/imatrix/imatrix.ts";
import { imatrixToMake } from "../../src/run/run-imatrix.ts";
import { readModel } from "../quantize/paper-model.ts";
import { INTERRUPTED, interruption, type PaperEngine, paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";

const place = paperPlace(20, { refine: "none", chunks: 24, imatrix: undefined });
const { runOn } = place;

const passes = ({ calls }: PaperEngine) => calls.filter((call) => call === "sampled importance");
const imatrixOf = () => join(place.out, "imatrix.gguf");

describe("a run without an imatrix", () => {
  it("makes one before the analysis, and has its presets with and without it", async () => {
    const engine = paperEngine();
    const { asked, rows, kept, verdict } = await runOn(engine);
    expect(engine.calls.indexOf("sampled importance")).toBeLessThan(engine.calls.indexOf("roundTrip"));
    expect(engine.calls).toContain("sampled importance");
    expect(asked.imatrix).toBe("sampled");
    expect(kept?.map(({ path }) => path)).toContain("imatrix.gguf");
    const { imatrix } = JSON.parse(await readFile(join(place.out, "plans", "plan.json"), "utf8"));
    expect(imatrix).toMatchObject({ path: imatrixOf(), sha256: (await readImatrix(imatrixOf())).sha256 });
    expect((await readImatrix(imatrixOf())).importance.has("output.weight")).toBe(true);
    const labels = (kind: string) => rows.filter((row) => row.kind === kind).map(({ label }) => label);
    expect(labels("plain")).toEqual(labels("preset").map((label) => `${label} without imatrix`));
    expect(new Set(rows.map(({ label }) => label)).size).toBe(rows.length);
    expect(verdict).toContain(`the imatrix alone changes the KLD of ${labels("preset")[0]} by`);
  });

  it("goes on with the one it made, and makes it again where it was changed", async () => {
    const stopping = paperEngine((call) => {
      if (call.startsWith("score plan.gguf")) throw interruption();
    });
    await expect(runOn(stopping)).rejects.toMatchObject(INTERRUPTED);
    const made = await readFile(imatrixOf());
    const engine = paperEngine();
    await runOn(engine);
    expect(passes(stopping)).toHaveLength(1);
    expect(passes(engine)).toEqual([]);
    await appendFile(imatrixOf(), "more");
    const notes: string[] = [];
    const again = paperEngine();
    await runOn(again, {}, { progress: { ...SILENT, note: (text) => notes.push(text) } });
    expect(notes).toContain(`! ${imatrixOf()} was changed after it was written: made again`);
    expect(await readFile(imatrixOf())).toEqual(made);
    expect(again.calls.filter((call) => /^(score|quantize)/.test(call))).toEqual([]);
  });

  it("refuses to go on where it comes out otherwise", async () => {
    await runOn(paperEngine());
    await appendFile(imatrixOf(), "more");
    const other = paperEngine();
    const { library } = other;
    const load: typeof library.load = async (options) => {
      const loaded = await library.load(options);
      return {
        ...loaded,
        sampledImportance: async (asked) => new Map([...(await loaded.sampledImportance(asked))].slice(1)),
      };
    };
    await expect(runOn({ ...other, library: { ...library, load } })).rejects.toThrow(
      /imatrix\.gguf: came out otherwise .* --force/,
    );
  });

  it("interrupted while it makes it, begins that again and nothing else", async () => {
    const stopping = paperEngine((call) => {
      if (call === "sampled importance") throw interruption();
    });
    await expect(runOn(stopping)).rejects.toMatchObject(INTERRUPTED);
    await expect(stat(imatrixOf())).rejects.toThrow();
    const { rows } = await runOn(paperEngine());
    expect(rows.some(({ kind }) => kind === "plain")).toBe(true);
  });

  it("goes on with no directory that was begun with none", async () => {
    await runOn(paperEngine(), { imatrix: "none" });
    await expect(runOn(paperEngine())).rejects.toThrow(/--imatrix was not given, now sampled/);
  });

  it("asked for none, has none", async () => {
    const engine = paperEngine();
    const { asked, rows } = await runOn(engine, { imatrix: "none" });
    expect(asked.imatrix).toBeUndefined();
    expect(passes(engine)).toEqual([]);
    expect(rows.some(({ kind }) => kind === "plain")).toBe(false);
  });

  it("may have a budget and a baseline that need one", async () => {
    const low = { budget: { kind: "bpw", value: 2.45 }, baselines: ["IQ2_XS"] } as const;
    await expect(runOn(paperEngine(), { ...low, imatrix: "none" })).rejects.toThrow(/imatrix/);
    const { rows } = await runOn(paperEngine(), low);
    expect(rows.map(({ label }) => label)).toContain("IQ2_XS");
    expect(rows.some(({ kind }) => kind === "plain")).toBe(false);
  });

  it("of llama.cpp's programs says why there is none", async () => {
    const notes: string[] = [];
    const progress = { ...SILENT, note: (text: string) => notes.push(text) };
    const model = await readModel(place.model);
    const source = { model, facts: readFacts(model) };
    expect(imatrixToMake(source, {}, { engine: { programs: {} } as unknown as Engine, progress })).toBeUndefined();
    expect(notes.join()).toMatch(/no importance matrix: .*prism imatrix MODEL/);
    expect(imatrixToMake(source, {}, { engine: paperEngine(), progress })).toBe("sampled");
    const encoder = { ...source, facts: { ...source.facts, arch: "bert" } };
    expect(imatrixToMake(encoder, {}, { engine: paperEngine(), progress })).toBe("shipped");
  });
});
