import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DEFAULT_LOGITS_LIMIT_BYTES, SILENT } from "../../src/bench.ts";
import { divideText } from "../../src/probes/probe-text.ts";
import { renderRun } from "../../src/report/terminal/evaluation-table.ts";
import type { Refinement, Run } from "../../src/run/run-document.ts";
import type { RunRequest } from "../../src/run/run-request.ts";
import { parseDensities } from "../../src/sensitivity/density-document.ts";
import { INTERRUPTED, interruption, paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";

const CONTEXT = 16;
const place = paperPlace(60, { refine: { probes: 12 }, context: CONTEXT });
const { runOn } = place;

function refinementOf(result: Run): Refinement {
  if (result.refinement === undefined) throw new Error("the run has no refinement");
  return result.refinement;
}

const probing = (call: string) => call.startsWith("quantize probe.gguf");

describe("a refined run", () => {
  it("probes head, embedding and classes first, and says of the plan it keeps why", async () => {
    const result = await runOn(paperEngine());
    const { probes, accepted, trial, outcome, kind } = refinementOf(result);
    // a model on paper does not see what is written into its file
    expect(kind).toBe("file");
    expect(probes).toHaveLength(12);
    expect(probes.slice(0, 2).map(({ group }) => group)).toEqual(["token_embd.weight", "output.weight"]);
    expect(new Set(probes.slice(2, 9).map(({ group }) => group)).size).toBe(7);
    if (trial !== undefined) expect(accepted).toBe(trial.difference.value < -2 * trial.difference.se);
    expect(outcome).toMatch(
      accepted ? /^refined plan kept: KLD -/ : /^(unrefined plan kept|the probes change no type)/,
    );
    expect(renderRun(result)).toContain("probes: 12 groups of tensors");
    const labels = result.rows.map(({ label }) => label);
    expect(labels.includes("s = elements")).toBe(accepted);
  });

  it("keeps the verdict, the trial and the probes on different parts of the text", async () => {
    const { refinement, text: scored } = await runOn(paperEngine());
    const chunks = Math.floor((await readFile(place.text, "utf8")).trimEnd().length / CONTEXT);
    const shares = divideText(chunks, { textChunks: 16, trialChunks: 64 });
    expect(refinement).toMatchObject({ text: "file", verdictChunks: shares?.verdict, context: CONTEXT });
    expect(scored?.chunks).toBeLessThanOrEqual(shares?.verdict ?? 0);
    expect((shares?.verdict ?? 0) + (shares?.trial ?? 0) + (shares?.probes ?? 0)).toBe(chunks);
  });

  it("samples what it probes on where the text is too short to be divided", async () => {
    const short = join(place.dir, "short.txt");
    await writeFile(short, "The quick brown fox. ".repeat(40));
    const { refinement } = await runOn(paperEngine(), { text: short });
    expect(refinement).toMatchObject({ text: "sampled" });
    expect(refinement?.verdictChunks).toBeUndefined();
  });

  it("leaves densities that --sensitivity takes, the head's guard lifted on this model only", async () => {
    await runOn(paperEngine());
    const path = join(place.out, "probes.json");
    const { densities, layers, headMeasured, lossUnit } = parseDensities(path, await readFile(path, "utf8"));
    expect(Object.keys(densities)).toEqual(expect.arrayContaining(["ffn_down", "blk.1.ffn_down.weight", "output"]));
    expect({ layers, lossUnit }).toEqual({ layers: 2, lossUnit: "nats" });
    expect(headMeasured).toMatch(/^[0-9a-f]{64}$/);
    expect((await readdir(place.out)).filter((name) => /scratch/.test(name))).toEqual([]);
  });

  it("goes on after an interrupt without measuring a probe twice, and does nothing when it is finished", async () => {
    const whole = paperEngine();
    const { probes } = refinementOf(await runOn(whole));
    await rm(place.out, { recursive: true });
    const begun = paperEngine((call) => {
      if (begun.calls.filter(probing).length === 6 && probing(call)) throw interruption();
    });
    await expect(runOn(begun)).rejects.toMatchObject(INTERRUPTED);
    // what was known by then is a sensitivity already
    const soFar = join(place.out, "probes.json");
    expect(parseDensities(soFar, await readFile(soFar, "utf8")).probes?.length).toBeGreaterThan(1);
    const again = paperEngine();
    const result = await runOn(again);
    expect(again.calls.filter(probing).length).toBe(whole.calls.filter(probing).length - 5);
    expect(refinementOf(result).probes).toEqual(probes);
    const finished = paperEngine();
    expect((await runOn(finished)).refinement).toEqual(result.refinement);
    expect(finished.calls).toEqual([]);
  });

  it("uses the probes of another budget", async () => {
    const cache = { dir: join(place.dir, "cache"), logitsLimitBytes: DEFAULT_LOGITS_LIMIT_BYTES };
    const first = paperEngine();
    await runOn(first, {}, { cache });
    place.out = `${place.out}-smaller`;
    const second = paperEngine();
    await runOn(second, { budget: { kind: "like", fileType: "Q3_K_M" } }, { cache });
    expect(first.calls.filter(probing).length).toBeGreaterThan(8);
    expect(second.calls.filter(probing)).toEqual([]);
  });

  it("probes every tensor alone where as many probes are asked for as there are tensors", async () => {
    const { probes } = refinementOf(await runOn(paperEngine(), { refine: { probes: 100 } }));
    expect(probes).toHaveLength(16);
    expect(probes.every(({ tensors }) => tensors.length === 1)).toBe(true);
  });

  it("leaves probes out, and says so, where the time they may take is too short", async () => {
    const notes: string[] = [];
    const progress = { ...SILENT, note: (text: string) => notes.push(text) };
    const result = await runOn(paperEngine(), { refine: { timeMs: 1e-6 } }, { progress });
    expect(result.refinement).toBeUndefined();
    expect(notes.join("\n")).toMatch(/not probing: one chunk of 16 tokens takes about .*--probe-time 2h/);
  });

  it("ends its probes, or leaves them out, where --max-time is needed for the plan's own file", async () => {
    const deadline = (leftMs: () => number): RunRequest["deadline"] => ({
      ...{ text: "2h", signal: new AbortController().signal, leftMs },
    });
    const probed = paperEngine();
    const isPlanned = () => probed.calls.includes("quantize plan.gguf");
    const late = () => (probed.calls.filter(probing).length >= 5 && !isPlanned() ? 0 : Number.POSITIVE_INFINITY);
    const ended = await runOn(probed, { deadline: deadline(late) });
    expect(refinementOf(ended).probes).toHaveLength(5);
    expect(ended.finishedAt).toBeDefined();

    place.out = await place.newOut();
    const notes: string[] = [];
    const engine = paperEngine();
    const isBegun = () => engine.calls.some((call) => call.startsWith("quantize"));
    const progress = { ...SILENT, note: (text: string) => notes.push(text) };
    const short = { deadline: deadline(() => (isBegun() ? Number.POSITIVE_INFINITY : 0)) };
    expect((await runOn(engine, short, { progress })).refinement).toBeUndefined();
    expect(notes.join("\n")).toContain("not probing: --max-time 2h leaves no time for it");
  });

  it("keeps a plan that there was no time to try where it rests on four probes, and says so", async () => {
    // what the clock says of a model on paper depends on the load: enough for some probes, too little for a trial
    const budget = (chunks: number) => ({ chunks, textChunks: 4, trialChunks: 0 });
    const resumed = async (chunks: number, more: Partial<RunRequest> = {}) => {
      const stopped = paperEngine((call) => {
        if (probing(call)) throw interruption();
      });
      await expect(runOn(stopped, more)).rejects.toMatchObject(INTERRUPTED);
      const path = join(place.out, "state.json");
      const { seal: _, ...state } = JSON.parse(await readFile(path, "utf8")) as Run & { seal: string };
      await writeFile(path, JSON.stringify({ ...state, probeBudget: budget(chunks) }));
      const { refinement } = await runOn(paperEngine(), more);
      await rm(place.out, { recursive: true });
      return refinement;
    };
    const few = await resumed(12);
    expect(few?.trial).toBeUndefined();
    expect(few).toMatchObject({ accepted: false });
    expect(few?.outcome).toMatch(/no time to try the refined one, and fewer than 4 probes/);
    const guarded = await resumed(16, { probeGuard: "p99" });
    expect(guarded).toMatchObject({ accepted: false });
    expect(guarded?.outcome).toMatch(
      /no time to try the refined one, and --probe-guard keeps none untried|change no type/,
    );
    const enough = await resumed(16);
    expect(enough?.probes.length).toBeGreaterThanOrEqual(4);
    expect(enough?.outcome).toMatch(/^refined plan kept: there was no time to try it|change no type/);
  });

  it("says what to do where the probes of a refinement that was kept are gone, torn or another model's", async () => {
    await runOn(paperEngine());
    const [state, probes] = [join(place.out, "state.json"), join(place.out, "probes.json")];
    const text = await readFile(probes, "utf8");
    // a state of before there were seals and hashes
    const {
      refinement,
      seal: _,
      kept: __,
      ...rest
    } = JSON.parse(await readFile(state, "utf8")) as Run & { seal: string };
    await writeFile(state, JSON.stringify({ ...rest, refinement: { ...refinement, accepted: true } }));
    const fails = async (message: RegExp) => {
      const engine = paperEngine();
      await expect(runOn(engine)).rejects.toMatchObject({ message: expect.stringMatching(message), exitCode: 1 });
      expect(engine.calls.filter((call) => call.startsWith("quantize"))).toEqual([]);
    };
    const remedy = "prism run with --force starts the run anew$";
    await rm(probes);
    await fails(new RegExp(`^${probes}: is gone, and the run goes by it; ${remedy}`));
    await writeFile(probes, text.slice(0, 200));
    await fails(new RegExp(`^${probes}: a file of densities that is cut off at byte 200, .*; ${remedy}`));
    await writeFile(probes, text.replace(/("headerHash": ")[^"]+/, "$1another"));
    await fails(new RegExp(`^${probes}: is of another model than .*model\\.gguf; ${remedy}`));
    await writeFile(probes, text);
    expect((await runOn(paperEngine())).refinement).toMatchObject({ accepted: true });
  });

  it("records both tails of a trial, and what it was held to", async () => {
    const { trial } = refinementOf(await runOn(paperEngine(), { probeGuard: "p99" }));
    expect(trial).toMatchObject({ guard: "p99", p99: { difference: { value: expect.any(Number) } } });
    await expect(runOn(paperEngine())).rejects.toThrow(/--probe-guard was p99, now not given/);
  });

  it("is another run than the same without probes", async () => {
    await runOn(paperEngine());
    await expect(runOn(paperEngine(), { refine: "none" })).rejects.toThrow(/--refine was 12, now not given/);
  });

  it("is not taken for one of another budget where it ended before its first row", async () => {
    const note = (text: string) => {
      if (text.startsWith("planned for")) throw interruption();
    };
    await expect(runOn(paperEngine(), {}, { progress: { ...SILENT, note } })).rejects.toMatchObject(INTERRUPTED);
    const state = JSON.parse(await readFile(join(place.out, "state.json"), "utf8")) as Run;
    expect({ refined: state.refinement !== undefined, rows: state.rows.length }).toEqual({ refined: true, rows: 0 });
    const smaller = runOn(paperEngine(), { budget: { kind: "like", fileType: "Q3_K_M" } });
    await expect(smaller).rejects.toThrow(/asked something else: the budget was/);
  });
});
