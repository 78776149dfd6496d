/** A run goes on only from what it wrote: every file of its directory is held to what state.json says of it. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Run } from "../../src/run/run-document.ts";
import type { RunRequest } from "../../src/run/run-request.ts";
import { INTERRUPTED, interruption, type PaperEngine, paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";

const place = paperPlace(60, { refine: { probes: 12 } });
const at = (...path: string[]) => join(place.out, ...path);

async function runUntil(pattern: RegExp, more: Partial<RunRequest> = {}): Promise<PaperEngine> {
  const engine = paperEngine((call) => {
    if (pattern.test(call)) throw interruption();
  });
  await expect(place.runOn(engine, more)).rejects.toMatchObject(INTERRUPTED);
  return engine;
}

async function goOn(more: Partial<RunRequest> = {}): Promise<{ engine: PaperEngine; notes: string[]; run: Run }> {
  const engine = paperEngine();
  const notes: string[] = [];
  const run = await place.runOn(engine, more, {
    progress: { note: (text) => notes.push(text), steps: () => undefined },
  });
  return { engine, notes, run };
}

const edit = async (path: string, from: RegExp, to: string) => {
  const text = await readFile(path, "utf8");
  expect(from.test(text)).toBe(true);
  await writeFile(path, text.replace(from, to));
};
/** All weights on paper are zeros; another byte at the end is other content of the same types and size. */
async function touchWeights(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.length - 1] = 77;
  await writeFile(path, bytes);
}
const figures = ({ rows, verdict }: Run) => ({ rows, verdict });

describe("a run that goes on in a damaged directory", () => {
  it("refuses a state with another figure, and goes on when it is put back", async () => {
    await place.runOn(paperEngine());
    const whole = await readFile(at("state.json"), "utf8");
    await edit(at("state.json"), /"mean": [\d.]+/, '"mean": 0.001');
    await expect(goOn()).rejects.toThrow(/state\.json: the state of a run that was changed after it was written/);
    await writeFile(at("state.json"), JSON.stringify(JSON.parse(whole)));
    expect((await goOn()).engine.calls.filter((call) => call.startsWith("score"))).toEqual([]);
  });

  it("makes an analysis of other content again, and says so", async () => {
    const { run } = await goOn();
    place.out = await place.newOut();
    await runUntil(/^quantize plan/);
    await edit(at("analysis.json"), /"value":0.026\d+/, '"value":0.5');
    const again = await goOn();
    expect(again.notes).toContainEqual(
      expect.stringMatching(/analysis\.json was changed after it was written: made again/),
    );
    expect(again.engine.calls).toContain("roundTrip");
    expect(figures(again.run)).toEqual(figures(run));
  });

  it("refuses densities of other content that an accepted refinement stands on", async () => {
    const engine = await runUntil(/^quantize preset/);
    const state = JSON.parse(await readFile(at("state.json"), "utf8"));
    expect(engine.calls.length).toBeGreaterThan(0);
    const { seal: _, ...open } = state;
    await writeFile(at("state.json"), JSON.stringify({ ...open, refinement: { ...state.refinement, accepted: true } }));
    await edit(at("probes.json"), /\d\n/, "9\n");
    await expect(goOn()).rejects.toThrow(
      /probes\.json: was changed after it was written; put it back, or prism run with/,
    );
  });

  it("measures what was made before it was interrupted, unless it is another file by now", async () => {
    const unprobed = { refine: "none" } as const;
    await runUntil(/^load plan/, unprobed);
    expect((await goOn(unprobed)).engine.calls).not.toContain("quantize plan.gguf");
    place.out = await place.newOut();
    await runUntil(/^load plan/, unprobed);
    await touchWeights(at("models", "plan.gguf"));
    expect((await goOn(unprobed)).engine.calls).toContain("quantize plan.gguf");
    expect((await readFile(at("models", "plan.gguf"))).at(-1)).not.toBe(77);
  });

  it.each([
    ["a row's", "evaluations/preset-Q4_K_S.json", {}],
    ["a point's", /^evaluations\/point-\d+\.json$/, { sweep: [{ kind: "bpw", value: 5 }] }],
    ["a preset's beside a point", /^evaluations\/preset-Q[23].*\.json$/, { sweep: [{ kind: "bpw", value: 3.2 }] }],
  ] as const)("measures again what %s changed evaluation is of", async (_, name, asked) => {
    const more = { refine: "none", ...asked } as const;
    const { run } = await goOn(more);
    const path =
      run.kept?.find((file) => (typeof name === "string" ? file.path === name : name.test(file.path)))?.path ?? "";
    await edit(at(path), /"mean": [\d.]+/, '"mean": 0.001');
    const again = await goOn(more);
    expect(again.notes).toContainEqual(
      expect.stringContaining(`${path} was changed after it was written: measured again`),
    );
    expect(await readFile(at(path), "utf8")).not.toContain('"mean": 0.001,');
    expect(figures(again.run)).toEqual(figures(run));
    expect(again.run.sweep).toEqual(run.sweep);
    expect((await goOn(more)).notes.filter((note) => note.startsWith("!"))).toEqual([]);
  });

  it("makes the plan's file again where it is not the one that was measured", async () => {
    const { run } = await goOn();
    await touchWeights(at("models", "plan.gguf"));
    const again = await goOn();
    expect(again.notes).toContainEqual(
      expect.stringMatching(/plan\.gguf is not the file that was measured; making it again/),
    );
    expect((await readFile(at("models", "plan.gguf"))).at(-1)).not.toBe(77);
    expect(again.run.outputs).toEqual(run.outputs);
    expect(figures(again.run)).toEqual(figures(run));
  });
});
