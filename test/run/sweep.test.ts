import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { InfeasibleError } from "../../src/errors.ts";
import { measuredRows, paretoFront } from "../../src/report/charts/pareto.ts";
import type { Run } from "../../src/run/run-document.ts";
import { INTERRUPTED, interruption, paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";

const place = paperPlace(20, { refine: "none", chunks: 24 });
const { runOn } = place;

const isWork = (call: string) => /^(quantize|score|roundTrip)/.test(call);

describe("a quality", () => {
  // on paper a file of n bytes has a KLD of 1000/n
  const target = { measure: "kld", limit: 1000 / 62_000 } as const;

  it("is met by the plan, with no more bytes than it must have, and the controls are of its size", async () => {
    const result = await runOn(paperEngine(), { target });
    const plan = result.rows.find(({ kind }) => kind === "plan");
    expect(result.target?.fileBytes).toBe(plan?.fileBytes);
    expect((plan?.kld?.mean ?? 1) + (plan?.kld?.se ?? 1)).toBeLessThanOrEqual(target.limit);
    expect(plan?.fileBytes).toBeLessThan(62_000 * 1.05);
    expect(result.target?.evaluations).toBe(result.sweep?.points.length);
    expect(result.target?.evaluations).toBeLessThanOrEqual(6);
    expect(result.rows.filter(({ kind }) => kind === "shuffle")).toHaveLength(3);
    for (const { plan: path } of result.sweep?.points ?? [])
      expect((await stat(join(place.out, path))).size).toBeGreaterThan(0);
  });

  it("is found again without any work, and after an interruption without repeating any", async () => {
    const whole = await runOn(paperEngine(), { target });
    const again = paperEngine();
    expect((await runOn(again, { target })).target).toEqual(whole.target);
    expect(again.calls.filter(isWork)).toEqual([]);
    await rm(place.out, { recursive: true });
    let scored = 0;
    const dying = paperEngine((call) => {
      if (call.startsWith("score") && ++scored > 12) throw new Error("killed");
    });
    await expect(runOn(dying, { target })).rejects.toThrow("killed");
    const rest = paperEngine();
    const resumed = await runOn(rest, { target });
    expect(resumed.target).toEqual(whole.target);
    expect(rest.calls.some((call) => call.startsWith("roundTrip"))).toBe(false);
  });

  it("is searched among the points of an interrupted search, but never among those of another text", async () => {
    let scored = 0;
    const dying = paperEngine((call) => {
      if (call.startsWith("score") && ++scored > 12) throw new Error("killed");
    });
    await expect(runOn(dying, { target })).rejects.toThrow("killed");
    const other = join(place.dir, "other.txt");
    await writeFile(other, "Pack my box with five dozen liquor jugs. ".repeat(20));
    const refused = runOn(paperEngine(), { target, text: other });
    await expect(refused).rejects.toThrow(/asked something else: --text was SHA-256/);
    const easier = { measure: "kld", limit: 1000 / 61_000 } as const;
    expect((await runOn(paperEngine(), { target: easier })).target?.limit).toBe(easier.limit);
  });

  it("is searched from the smallest file that holds the constraints where they don't fit the size it begins with", async () => {
    const constraints = [{ kind: "floor", pattern: ".", type: "Q6_K" }] as const;
    const result = await runOn(paperEngine(), { target: { measure: "kld", limit: 1 }, constraints });
    const plan = result.rows.find(({ kind }) => kind === "plan");
    const preset = result.rows.find(({ label }) => label === "Q6_K");
    expect(result.target?.fileBytes).toBe(plan?.fileBytes);
    expect(plan?.bpw).toBeGreaterThan(6.5);
    expect(plan?.fileBytes).toBeLessThanOrEqual(preset?.fileBytes ?? Number.POSITIVE_INFINITY);
  });

  it("that no file has is refused as infeasible, with the best there was", async () => {
    const hopeless = { measure: "kld", limit: 1e-6 } as const;
    const error = await runOn(paperEngine(), { target: hopeless }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InfeasibleError);
    expect((error as Error).message).toMatch(/--kld 0.000001: none of \d+ plans meets it .* the best has KLD/);
  });
});

describe("a sweep", () => {
  const sweep = [3.5, 4.5, 6].map((value) => ({ kind: "bpw", value, text: `--bpw ${value}` }) as const);

  it("has a point and a preset for each budget, the survivors by size, and the calibration", async () => {
    const result = await runOn(paperEngine(), { sweep, budgetGiven: true });
    const points = result.sweep?.points ?? [];
    expect(points.map(({ budget }) => budget)).toEqual(["--bpw 3.5", "--bpw 4.5", "--bpw 6"]);
    expect(result.rows.filter(({ kind }) => kind === "preset").length).toBeGreaterThanOrEqual(2);
    // on paper size decides: what is off the front has a slightly larger file within half a percent that is on it
    const survivors = new Set(result.sweep?.survivors);
    const files = [...points, ...result.rows].filter((row) => !("kind" in row && row.kind === "reference"));
    const bytes = files.filter(({ label }) => survivors.has(label)).map(({ fileBytes }) => fileBytes);
    for (const { label, fileBytes } of files) {
      const isMatched = bytes.some((size) => size >= fileBytes && size <= fileBytes * 1.005);
      expect(survivors.has(label) || isMatched, label).toBe(true);
    }
    // the pictures join the same files
    const drawn = paretoFront(measuredRows(result), "kld").map(({ fileBytes }) => fileBytes);
    expect(new Set(drawn)).toEqual(new Set(bytes));
    // KLD falls with the bytes here, far slower than the predicted loss
    expect(result.sweep?.calibration?.ratios).toHaveLength(3);
    expect(result.warnings.join("\n")).toMatch(/predicted and measured loss part/);
    const kinds = new Set(result.rows.map(({ kind }) => kind));
    expect(kinds).toContain("plan");
  });

  it("is another run with a budget than with its knee", async () => {
    await runOn(paperEngine(), { sweep });
    const given = runOn(paperEngine(), { sweep, budgetGiven: true });
    await expect(given).rejects.toThrow(/the budget was the knee of the sweep, or --like Q4_K_M, now --like Q4_K_M/);
  });

  it("goes on without probes where its first point was measured without", async () => {
    const interrupted = paperEngine((call) => {
      if (call.startsWith("quantize preset")) throw interruption();
    });
    const stopped = runOn(interrupted, { sweep, refine: { timeMs: 1e-6 } });
    await expect(stopped).rejects.toMatchObject(INTERRUPTED);
    const resumed = await runOn(paperEngine(), { sweep, refine: { timeMs: 1e-6 } });
    expect(resumed.refinement).toBeUndefined();
    expect(resumed.rows.length).toBeGreaterThan(3);
  });

  it("keeps its knee and plan where it goes on among controls that are better than its points", async () => {
    const edit = async (change: (state: Run) => unknown) => {
      const path = join(place.out, "state.json");
      const { seal: _, ...state } = JSON.parse(await readFile(path, "utf8")) as Run & { seal: string };
      change(state);
      await writeFile(path, JSON.stringify(state));
    };
    const divide = (row: { kld?: unknown } | undefined, by: number) => {
      const kld = row?.kld as { mean: number };
      kld.mean /= by;
    };
    const pointsOnly = paperEngine((call) => {
      if (call === "quantize plan.gguf") throw interruption();
    });
    await expect(runOn(pointsOnly, { sweep })).rejects.toMatchObject(INTERRUPTED);
    // on paper the front is a straight line: a bend must be made
    await edit(({ sweep }) => divide(sweep?.points[1], 1.2));
    const whole = await runOn(paperEngine(), { sweep });
    expect(whole.sweep?.knee).toBe(whole.sweep?.points[1]?.label);
    await edit(({ rows }) =>
      divide(
        rows.find(({ kind }) => kind === "shuffle"),
        10,
      ),
    );
    const again = await runOn(paperEngine(), { sweep });
    expect(again.sweep?.knee).toBe(whole.sweep?.knee);
    expect(again.outputs).toEqual(whole.outputs);
  });

  it("takes its knee for the plan where no budget is given", async () => {
    const result = await runOn(paperEngine(), { sweep });
    const bend = result.sweep?.points.find(({ label }) => label === result.sweep?.knee);
    const plan = result.rows.find(({ kind }) => kind === "plan");
    if (bend === undefined) expect(result.asked.budget).toBe("the knee of the sweep, or --like Q4_K_M");
    else expect(plan?.fileBytes).toBe(bend.fileBytes);
  });
});
