import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SILENT } from "../../src/bench.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { AUTO_FEEDBACK_WEIGHTS } from "../../src/feedback/feedback.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { makesFeedback } from "../../src/run/run-feedback.ts";
import { readModel } from "../quantize/paper-model.ts";
import { INTERRUPTED, interruption, type PaperEngine, paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";

const place = paperPlace(60, { refine: "none", chunks: 24, feedback: "on" });
const { runOn } = place;

const modelOf = (slug: string) => join(place.out, "models", `${slug}.gguf`);
const codings = ({ calls }: PaperEngine) => calls.filter((call) => call.startsWith("codes of"));

describe("a run with error feedback", () => {
  it("makes the plan's file a second time, with other codes, and keeps both", async () => {
    const engine = paperEngine();
    const notes: string[] = [];
    const { asked, rows, outputs, verdict } = await runOn(
      engine,
      {},
      { progress: { ...SILENT, note: (text) => notes.push(text) } },
    );
    expect(codings(engine)).toEqual(["codes of plan-feedback.gguf"]);
    expect(asked.feedback).toBe("own");
    const [plan, coded] = ["plan", "feedback"].map((kind) => rows.find((row) => row.kind === kind));
    expect(coded?.label).toBe("plan, error feedback");
    expect(Math.abs((coded?.fileBytes ?? 0) - (plan?.fileBytes ?? 0))).toBeLessThan(256);
    expect(verdict).toMatch(/error feedback changes its KLD by [+-]\d+\.\d % at the same bytes/);
    expect(verdict).not.toContain("plan, error feedback");
    expect(outputs?.map(({ path }) => path)).toEqual(expect.arrayContaining([join("models", "plan-feedback.gguf")]));
    expect(notes.join("\n")).toMatch(
      /codes of \d+ tensors chosen with error feedback .* is 0\.70 of ggml's; 0 keep ggml's/,
    );
  });

  it("goes on with the file it made, and makes it again where it is gone", async () => {
    const stopping = paperEngine((call) => {
      if (call.startsWith("load plan-feedback")) throw interruption();
    });
    await expect(runOn(stopping)).rejects.toMatchObject(INTERRUPTED);
    const engine = paperEngine();
    await runOn(engine);
    expect([codings(stopping).length, codings(engine).length]).toEqual([1, 0]);
    await writeFile(modelOf("plan-feedback"), "another file");
    const again = paperEngine();
    await runOn(again);
    expect(codings(again)).toHaveLength(1);
    expect((await stat(modelOf("plan-feedback"))).size).toBeGreaterThan(1000);
  });

  it("reads the text that is given, and is another run with another", async () => {
    const calibration = [join(place.dir, "one.txt"), join(place.dir, "two.txt")];
    const sentences = await readFile(place.text, "utf8");
    await writeFile(calibration[0] as string, sentences);
    await writeFile(calibration[1] as string, sentences.toUpperCase());
    const engine = paperEngine();
    const { asked } = await runOn(engine, { calibration });
    expect(asked.feedback).toMatch(/^[0-9a-f]{64} [0-9a-f]{64}$/);
    expect(engine.calls).toContainEqual(expect.stringMatching(/^inputs of \d+, 4 kinds$/));
    await expect(runOn(paperEngine())).rejects.toThrow(/--feedback was .*, now own/);
    // beside what the model writes: one kind more
    const both = paperEngine();
    const own = await runOn(both, { calibration: ["own", ...calibration], force: true });
    expect(own.asked.feedback).toMatch(/^own [0-9a-f]{64} [0-9a-f]{64}$/);
    expect(both.calls).toContainEqual(expect.stringMatching(/^inputs of \d+, 5 kinds$/));
    await writeFile(calibration[1] as string, "");
    await expect(runOn(paperEngine(), { calibration })).rejects.toThrow(/--calibration .*two\.txt: the file is empty/);
  });

  it("plans for each kind of codes, and predicts each file by its own", async () => {
    const engine = paperEngine();
    const { rows } = await runOn(engine);
    expect(engine.calls.filter((call) => call.startsWith("gains of"))).toHaveLength(1);
    const planOf = async (name: string) => JSON.parse(await readFile(join(place.out, "plans", name), "utf8")) as Plan;
    const [plan, coded] = [await planOf("plan.json"), await planOf("plan-feedback.json")];
    // llama-quantize can't choose codes so: its recipe counts with its own errors
    expect([plan.feedback, coded.feedback?.text]).toEqual([
      undefined,
      expect.stringMatching(/^sampled from the model/),
    ]);
    const lossOf = (wanted: string) => rows.find(({ kind }) => kind === wanted)?.predictedLoss;
    expect(lossOf("feedback")).toBeCloseTo(coded.predicted.loss, 6);
    expect(lossOf("plan")).toBeCloseTo(plan.predicted.loss, 6);
    expect(coded.predicted.loss).toBeLessThan(0.8 * plan.predicted.loss);
    // what was measured stays
    await runOn(engine);
    expect(engine.calls.filter((call) => call.startsWith("gains of"))).toHaveLength(1);
  });

  it("declined, makes none", async () => {
    const { asked, rows } = await runOn(paperEngine(), { feedback: "off" });
    expect(asked.feedback).toBeUndefined();
    expect(rows.some(({ kind }) => kind === "feedback")).toBe(false);
  });
});

describe("whether a run has error feedback", () => {
  const notes: string[] = [];
  const progress = { ...SILENT, note: (text: string) => notes.push(text) };
  const paper = paperEngine();
  const engine = { ...paper, info: { ...paper.info, kernels: "C++, on paper" } };

  it("needs the native kernels, unless it is asked for", async () => {
    const model = await readModel(place.model);
    expect(makesFeedback({ model }, { feedback: "auto" }, { engine: paper, progress })).toBe(false);
    expect(notes.pop()).toMatch(/without the native kernels it takes very long/);
    expect(makesFeedback({ model }, { feedback: "on" }, { engine: paper, progress })).toBe(true);
  });

  it("depends on the model's weights, unless it is asked for", async () => {
    const model = await readModel(place.model);
    const [tensor] = model.tensors;
    const large = {
      model: {
        ...model,
        tensors: [{ ...(tensor as NonNullable<typeof tensor>), elements: AUTO_FEEDBACK_WEIGHTS + 1 }],
      },
    };
    expect(makesFeedback({ model }, { feedback: "auto" }, { engine, progress })).toBe(true);
    expect(notes).toEqual([]);
    expect(makesFeedback(large, { feedback: "auto" }, { engine, progress })).toBe(false);
    expect(notes.pop()).toMatch(/more than 1 billion weights.*--feedback on/);
    expect(makesFeedback(large, { feedback: "on" }, { engine, progress })).toBe(true);
    expect(makesFeedback(large, { feedback: "auto", calibration: ["a.txt"] }, { engine, progress })).toBe(true);
  });

  it("needs the library", async () => {
    const model = await readModel(place.model);
    const programs = { programs: {} } as unknown as Engine;
    expect(makesFeedback({ model }, { feedback: "auto" }, { engine: programs, progress })).toBe(false);
    expect(notes.pop()).toMatch(/no error feedback: llama\.cpp's programs/);
    expect(() => makesFeedback({ model }, { feedback: "on" }, { engine: programs, progress })).toThrow(/--feedback/);
  });
});
