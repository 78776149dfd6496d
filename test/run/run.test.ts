import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Bench } from "../../src/bench.ts";
import { PrismError, UsageError } from "../../src/errors.ts";
import { parseGates } from "../../src/run/gates.ts";
import type { Run } from "../../src/run/run-document.ts";
import type { RunRequest } from "../../src/run/run-request.ts";
import { parseRun } from "../../src/run/run-state.ts";
import { prismSensitivity, uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { shuffleSensitivity } from "../../src/sensitivity/shuffle.ts";
import { INTERRUPTED, interruption, paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";
import { writePaperSource } from "./paper-source.ts";

const place = paperPlace(20, { refine: "none", chunks: 24 });
const { runOn } = place;

/** Paths of all files below the run, none hidden from it. */
const filesOf = async (path: string) => (await readdir(path, { recursive: true })).sort();

async function failure(promise: Promise<unknown>): Promise<PrismError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof PrismError) return error;
  throw new Error(`expected a PrismError, got ${String(error)}`);
}

const isWork = (call: string) => /^(quantize|score|roundTrip)/.test(call);

/** What a run shows, without its moments. */
/** Without times; the plan says when it was made, so its file has another hash. */
const shown = ({ createdAt: _, finishedAt: __, asked: ___, outputs = [], kept = [], ...rest }: Run) => ({
  ...rest,
  // they say when they were made
  kept: kept.map(({ path }) => path),
  outputs: outputs.filter(({ path }) => path !== "plans/plan.json"),
});

describe("a run", () => {
  it("quantizes and evaluates the plan first, then presets, uniform types and solved controls around its size", async () => {
    const result = await runOn(paperEngine());
    const kinds = result.rows.map(({ kind }) => kind);
    expect(kinds).toEqual([
      "reference",
      "plan",
      "preset",
      "preset",
      "uniform",
      "uniform",
      "unguarded",
      "shuffle",
      "shuffle",
      "shuffle",
    ]);
    const bytes = (kind: string) => result.rows.filter((row) => row.kind === kind).map(({ fileBytes }) => fileBytes);
    const plan = bytes("plan")[0] as number;
    for (const kind of ["preset", "uniform"]) {
      expect(Math.min(...bytes(kind))).toBeLessThanOrEqual(plan);
      expect(Math.max(...bytes(kind))).toBeGreaterThanOrEqual(plan);
    }
    expect(result.text).toMatchObject({ context: 16, chunks: 24, source: "file" });
    expect(parseRun(await readFile(join(place.out, "state.json"), "utf8"), place.out)).toEqual(result);
  });

  it("leaves the plan's model, an evaluation of every row, the recipes, and nothing else", async () => {
    const result = await runOn(paperEngine());
    const files = await filesOf(place.out);
    expect(files.filter((path) => path.startsWith("models"))).toEqual(["models", join("models", "plan.gguf")]);
    expect(files.filter((path) => path.startsWith("evaluations"))).toHaveLength(result.rows.length);
    expect(files).toContain(join("plans", "recipe.sh"));
    expect(files.filter((path) => /part|scratch|cache/.test(path))).toEqual([]);
  });

  it("keeps the controls' models on request, and quantizes them again without evaluating again", async () => {
    await runOn(paperEngine());
    const engine = paperEngine();
    await runOn(engine, { keepModels: true });
    expect(engine.calls.every((call) => call.startsWith("quantize "))).toBe(true);
    expect(engine.calls).toHaveLength(8);
    expect(await readdir(join(place.out, "models"))).toHaveLength(9);
    await runOn(engine, { keepModels: true });
    expect(engine.calls).toHaveLength(8);
  });

  it("compares another sensitivity with s = elements, and says whether the gain is its own", async () => {
    const of: NonNullable<RunRequest["sensitivity"]>["of"] = (analysis) =>
      shuffleSensitivity(analysis, uniformSensitivity(analysis), 9);
    const result = await runOn(paperEngine(), { sensitivity: { name: "drawn", of } });
    expect(result.rows.map(({ label }) => label)).toContain("s = elements");
    expect(result.creditsSensitivity).toBe(false);
    expect(result.verdict).toContain("nothing is credited to the sensitivity");
  });

  it("has no s = elements row where the sensitivity comes to just that", async () => {
    const of = uniformSensitivity;
    const result = await runOn(paperEngine(), { sensitivity: { name: "by another name", of } });
    expect(result.rows.map(({ kind }) => kind)).not.toContain("uniform-s");
    expect(result.creditsSensitivity).toBeUndefined();
  });

  it("gives no verdict under 20 chunks", async () => {
    const result = await runOn(paperEngine(), { chunks: 19 });
    expect(result.verdict).toBe("only 19 chunks were scored: no verdict under 20");
    expect(new Set(result.rows.filter(({ kind }) => kind !== "plan").map(({ verdict }) => verdict))).toEqual(
      new Set([undefined, "no verdict"]),
    );
  });
});

describe("a gate on speed", () => {
  it("is held against what was timed, and refused where nothing is", async () => {
    const gates = parseGates(["tps>=1 && promptTps>=1e12"]);
    const timed = await runOn(paperEngine(), { gates, speed: "auto" });
    expect(timed.gates.map(({ gate, met }) => [gate, met])).toEqual([
      ["tps>=1", true],
      ["promptTps>=1e12", false],
    ]);
    await expect(runOn(paperEngine(), { gates })).rejects.toThrow(/tps>=1: that is not measured here/);
  });
});

describe("a finished run", () => {
  it("is told again without any work, and judged by the gates given now", async () => {
    const first = await runOn(paperEngine(), { chunks: 12 });
    const before = await filesOf(place.out);
    const engine = paperEngine();
    const again = await runOn(engine, { chunks: 12, gates: parseGates(["bpw<2", "bpw>2"]) });
    expect(engine.calls).toEqual([]);
    expect(shown({ ...again, gates: [] })).toEqual(shown(first));
    expect(again.finishedAt).toBe(first.finishedAt);
    expect(again.gates.map(({ met }) => met)).toEqual([false, true]);
    expect(await filesOf(place.out)).toEqual(before);
  });

  it("makes only the plan's model again when that was deleted", async () => {
    await runOn(paperEngine());
    await rm(join(place.out, "models", "plan.gguf"));
    const engine = paperEngine();
    await runOn(engine);
    expect(engine.calls).toEqual(["quantize plan.gguf"]);
  });

  it("goes on when its model was moved, and refuses another model under the old name", async () => {
    const moved = join(place.dir, "moved.gguf");
    const lies = join(place.dir, "lies.gguf");
    await copyFile(place.model, lies);
    const first = await runOn(paperEngine(), {}, { source: lies });
    await rename(lies, moved);
    await rm(join(place.out, "models", "plan.gguf"));
    const again = await runOn(paperEngine(), {}, { source: moved });
    expect(again.rows).toEqual(first.rows);
    expect(JSON.parse(await readFile(join(place.out, "plans", "plan.json"), "utf8")).source.path).toBe(moved);
    await writePaperSource(lies, 2);
    const error = await failure(runOn(paperEngine(), {}, { source: lies }));
    expect(error.message).toMatch(/asked something else: the model was SHA-256 .*--force/);
  });
});

describe("tokens per second of a run", () => {
  const timed = ["plan", "preset"];

  it("are of the plan and the presets, whose files stand until all of them were timed", async () => {
    const engine = paperEngine();
    const result = await runOn(engine, { speed: "on" });
    for (const { kind, speed } of result.rows) expect(speed !== undefined).toBe(timed.includes(kind));
    const quantized = engine.calls.findIndex((call) => call.startsWith("quantize uniform"));
    expect(engine.calls.slice(0, quantized).filter((call) => call.startsWith("time")).length).toBeGreaterThan(9);
    expect((await filesOf(join(place.out, "models"))).sort()).toEqual(["plan.gguf"]);
    const untimed = (run: Run) => shown({ ...run, rows: run.rows.map(({ speed: _, ...row }) => row) });
    expect(untimed(result)).toEqual(shown(await runOn(paperEngine(), { force: true })));
  });

  it("are kept by a run that goes on, and measured once", async () => {
    const first = await runOn(paperEngine(), { speed: "on" });
    const engine = paperEngine();
    expect((await runOn(engine, { speed: "off" })).rows).toEqual(first.rows);
    expect((await runOn(engine, { speed: "on" })).rows).toEqual(first.rows);
    expect(engine.calls.filter((call) => call.startsWith("time"))).toEqual([]);
  });
});

describe("an interrupted run", () => {
  it("goes on from any call without repeating finished work, leaves no half file, and ends the same", async () => {
    const whole = paperEngine();
    const expected = await runOn(whole);
    const expectedFiles = await filesOf(place.out);
    const number = (pattern: RegExp) => whole.calls.findIndex((call) => pattern.test(call)) + 1;
    const moments = [/^quantize plan/, /^load model/, /^tokenize/, /^score model/, /^score plan/, /^score plan.* 16/];
    const controls = [/^quantize preset/, /^load preset/, /^score preset.* 8/];
    const analyzed = number(/^quantize/) - 1;
    const stops = [analyzed, ...[...moments, ...controls].map(number), whole.calls.length];
    expect(stops).not.toContain(0);
    for (const stop of stops) {
      place.out = await place.newOut();
      const first = paperEngine((_, number) => {
        if (number === stop) throw interruption();
      });
      await expect(runOn(first)).rejects.toMatchObject(INTERRUPTED);
      expect((await filesOf(place.out)).filter((path) => /part|scratch/.test(path))).toEqual([]);
      const then = paperEngine();
      const result = await runOn(then);
      expect(shown(result)).toEqual(shown(expected));
      expect(await filesOf(place.out)).toEqual(expectedFiles);
      const quantized = [...first.calls.slice(0, -1), ...then.calls].filter((call) => call.startsWith("quantize"));
      expect(new Set(quantized).size).toBe(quantized.length);
      const rows = (calls: readonly string[]) => calls.filter((call) => /^score .* 16$/.test(call));
      const finished = rows(first.calls.slice(0, -1)).filter((call) => !call.includes("model.gguf"));
      for (const call of finished) expect({ stop, again: then.calls.includes(call) }).toEqual({ stop, again: false });
      expect(then.calls.includes("roundTrip")).toBe(stop <= analyzed);
    }
  });

  it("scores the chunks its first row was scored on, whatever the length rule would say now", async () => {
    const stopped = paperEngine((call) => {
      if (call.startsWith("quantize preset")) throw interruption();
    });
    await expect(runOn(stopped, { chunks: undefined })).rejects.toMatchObject(INTERRUPTED);
    const scored = parseRun(await readFile(join(place.out, "state.json"), "utf8"), place.out).text?.chunks;
    const result = await runOn(paperEngine(), { chunks: undefined });
    expect(scored).toBeGreaterThanOrEqual(20);
    expect(new Set(result.rows.map(({ kldPerChunk }) => kldPerChunk?.length))).toEqual(new Set([undefined, scored]));
  });
});

describe("an existing directory", () => {
  const changes: readonly (readonly [string, Partial<RunRequest>, Partial<Bench>?])[] = [
    ["the budget was --like Q4_K_M, now --bpw 4", { budget: { kind: "bpw", value: 4 } }],
    ["--sensitivity was uniform, now prism", { sensitivity: { name: "prism", of: prismSensitivity } }],
    ["--baseline was not given, now Q6_K", { baselines: ["Q6_K"] }],
    ["--context was 16, now 32", { context: 32 }],
    ["--chunks was 24, now 30", { chunks: 30 }],
    ["--seed was 0, now 1", {}, { seed: 1 }],
    [
      "the constraints was not given, now pin attn_v=Q6_K",
      { constraints: [{ kind: "pin", pattern: "attn_v", type: "Q6_K" }] },
    ],
  ];
  it("refuses any option that would change the result, and stays as it was", async () => {
    await runOn(paperEngine());
    const before = await readFile(join(place.out, "state.json"), "utf8");
    for (const [words, change, bench] of changes) {
      const error = await failure(runOn(paperEngine(), change, bench));
      expect({ message: error.message, exitCode: error.exitCode }).toEqual({
        message: `${place.out} holds a run that was asked something else: ${words}; give another --out, or --force to replace it`,
        exitCode: 2,
      });
    }
    expect(await readFile(join(place.out, "state.json"), "utf8")).toBe(before);
  });

  it("keeps its analysis while no row is finished, whatever else is asked", async () => {
    const stopped = paperEngine((call) => {
      if (call === "load plan.gguf") throw interruption();
    });
    await expect(runOn(stopped)).rejects.toMatchObject(INTERRUPTED);
    const engine = paperEngine();
    const result = await runOn(engine, { budget: { kind: "bpw", value: 6 }, chunks: 30 });
    expect(engine.calls.filter((call) => call === "roundTrip")).toEqual([]);
    expect(result.text?.chunks).toBe(30);
    expect(result.asked.budget).toBe("--bpw 6");
  });

  it("starts anew with force: no row, analysis, model or evaluation of the former run stays", async () => {
    await runOn(paperEngine(), { keepModels: true, baselines: ["Q6_K"] });
    await writeFile(join(place.out, "models", "mine.gguf"), "somebody else's");
    const engine = paperEngine();
    const result = await runOn(engine, { force: true, budget: { kind: "like", fileType: "Q3_K_M" } });
    expect(engine.calls).toContain("roundTrip");
    expect(engine.calls.filter(isWork).length).toBeGreaterThan(10);
    expect(result.rows.map(({ label }) => label)).not.toContain("Q6_K");
    expect(await readdir(join(place.out, "models"))).toEqual(["mine.gguf", "plan.gguf"]);
    expect(await readdir(join(place.out, "evaluations"))).not.toContain("preset-Q6_K.json");
  });

  it("is not touched where it holds a run's files without a state", async () => {
    await runOn(paperEngine());
    await rm(join(place.out, "state.json"));
    const error = await failure(runOn(paperEngine()));
    expect(error.message).toMatch(/analysis\.json is there but .*state\.json is not.*--force/);
    expect((await stat(join(place.out, "models", "plan.gguf"))).size).toBeGreaterThan(0);
  });

  it("keeps what else lies in it", async () => {
    await mkdir(join(place.out, "cache"), { recursive: true });
    await writeFile(join(place.out, "cache", "mine"), "");
    await runOn(paperEngine(), { force: true });
    expect(await readdir(join(place.out, "cache"))).toEqual(["mine"]);
  });

  const damaged: readonly (readonly [string, RegExp])[] = [
    ["", /state\.json: the state of a run that is cut off at byte 0, where the file ends; --force/],
    ["null", /expected the state of a run \("schema": "prism\.run\/1"\), got null; --force/],
    [
      '{"schema":"prism.run/2"}',
      /in a format of another PRISM, the text "prism\.run\/2", expected "prism\.run\/1"; --force/,
    ],
    ['{"schema":"prism.run/1","rows":[]}', /damaged: prismVersion: expected text, got nothing; --force/],
    [
      '{"schema":"prism.run/1","createdAt":"","asked":{},"gates":[],"warnings":[],"rows":[null]}',
      /damaged: prismVersion: expected text, got nothing; --force/,
    ],
  ];
  it.each(damaged)("with the state %j is refused, and begun anew with force", async (content, message) => {
    await mkdir(place.out);
    await writeFile(join(place.out, "state.json"), content);
    const error = await failure(runOn(paperEngine()));
    expect(error.message).toMatch(message);
    expect(error.exitCode).toBe(1);
    expect(await readFile(join(place.out, "state.json"), "utf8")).toBe(content);
    expect((await runOn(paperEngine(), { force: true })).rows.length).toBeGreaterThan(5);
  });
});

describe("before any work", () => {
  it.each([
    ["a missing text", { text: "/nowhere/text.txt" }, {}, /no such file; check the path/],
    ["a missing model", {}, { source: "/nowhere/model.gguf" }, /nowhere\/model\.gguf/],
    [
      "a baseline that needs an imatrix",
      { baselines: ["IQ2_XXS"] },
      {},
      /--baseline IQ2_XXS needs importance values .*--imatrix/,
    ],
  ] as const)("%s is refused", async (_, change, on, message) => {
    const engine = paperEngine();
    const error = await failure(runOn(engine, change, on));
    expect(error.message).toMatch(message);
    expect(engine.calls).toEqual([]);
    await expect(stat(place.out)).rejects.toThrow();
  });

  it("a text shorter than two contexts is refused", async () => {
    const engine = paperEngine();
    const short = join(place.dir, "short.txt");
    await writeFile(short, "x".repeat(31));
    const error = await failure(runOn(engine, { text: short }));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toMatch(/short\.txt has 31 tokens, .* needs at least 32; give a longer --text/);
    expect(engine.calls.filter(isWork)).toEqual([]);
    expect(await filesOf(place.out)).toEqual(["state.json"]);
  });

  it("a model without a tokenizer is refused: it can't be evaluated", async () => {
    const engine = paperEngine();
    const bare = await writePaperSource(join(place.dir, "bare.gguf"), 1, false);
    const error = await failure(runOn(engine, {}, { source: bare }));
    expect(error.message).toMatch(/bare\.gguf: the file has no tokenizer .* to plan and quantize only: prism plan/);
    expect(engine.calls).toEqual([]);
  });

  it("an architecture that llama.cpp does not know is refused", async () => {
    const engine = paperEngine();
    const unknown = await writePaperSource(join(place.dir, "unknown.gguf"), 1, true, "zzz");
    const error = await failure(runOn(engine, {}, { source: unknown }));
    expect(error.message).toMatch(
      /unknown\.gguf: llama\.cpp paper does not know the architecture "zzz"; .*--llama-dir/,
    );
    expect(engine.calls).toEqual([]);
    await expect(stat(place.out)).rejects.toThrow();
  });

  it("a quantized source is refused, and taken with allowRequantize", async () => {
    await runOn(paperEngine());
    const quantized = join(place.dir, "quantized.gguf");
    await copyFile(join(place.out, "models", "plan.gguf"), quantized);
    place.out = `${place.out}-again`;
    const engine = paperEngine();
    const asked: Partial<RunRequest> = { budget: { kind: "like", fileType: "Q2_K" } };
    expect((await failure(runOn(engine, asked, { source: quantized }))).message).toMatch(
      /is already quantized \(.*--allow-requantize/,
    );
    expect(engine.calls).toEqual([]);
    const result = await runOn(engine, { ...asked, allowRequantize: true }, { source: quantized });
    expect(result.warnings.join()).toContain("already quantized in the source");
  });
});
