import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { renderRun } from "../../src/report/terminal/evaluation-table.ts";
import type { Run, Swaps } from "../../src/run/run-document.ts";
import type { RunRequest } from "../../src/run/run-request.ts";
import { INTERRUPTED, interruption, paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";

const FEW_BITS: Partial<RunRequest> = { budget: { kind: "bpw", value: 2.9 }, guards: { head: false } };
const place = paperPlace(60, { refine: { probes: 9 }, context: 16, ...FEW_BITS });
const { runOn } = place;

const probing = (call: string) => call.startsWith("quantize probe.gguf");

const typesOf = async (name = "plan") => {
  const plan = JSON.parse(await readFile(join(place.out, "plans", `${name}.json`), "utf8"));
  return plan.tensors.map(({ type }: { type: string }) => type) as string[];
};

/** Change what state.json says, as if it were of before there were seals. */
async function rewriteState(change: (state: Run) => Run): Promise<void> {
  const path = join(place.out, "state.json");
  const { seal: _, ...state } = JSON.parse(await readFile(path, "utf8")) as Run & { seal: string };
  await writeFile(path, JSON.stringify(change(state)));
}

describe("a run of few bits", () => {
  it("moves its plan and says what came of it", async () => {
    const result = await runOn(paperEngine());
    const { swaps } = result;
    expect(swaps?.moves.length).toBeGreaterThan(8);
    for (const { step, predicted, effect } of swaps?.moves ?? []) {
      // on paper fewer bytes mean more divergence
      expect([Math.sign(predicted), Math.sign(effect.value)]).toEqual(step === "up" ? [-1, -1] : [1, 1]);
    }
    const { trial, accepted } = swaps ?? {};
    if (trial !== undefined) expect(accepted).toBe(trial.difference.value < -2 * trial.difference.se);
    expect(swaps?.outcome).toMatch(
      /^(swapped plan kept|plan kept without swaps|the moves of the plan ask for no swap)/,
    );
    expect(renderRun(result)).toMatch(/^swaps: \d+ moves on 16 chunks each/m);
  });

  it("moves nothing where the plan has more bits, where it was told not to, and for a quality or a sweep", async () => {
    const plain: Partial<RunRequest>[] = [
      { budget: { kind: "like", fileType: "Q4_K_M" } },
      { swaps: "off" },
      { mode: "class" },
      { sweep: [{ kind: "bpw", value: 2.9 }] },
    ];
    for (const more of plain) {
      const { swaps, refinement } = await runOn(paperEngine(), more);
      expect({ swaps, refined: refinement !== undefined }).toEqual({ swaps: undefined, refined: true });
      await rm(place.out, { recursive: true });
    }
    const asked = await runOn(paperEngine(), { budget: { kind: "like", fileType: "Q4_K_M" }, swaps: "on" });
    expect(asked.swaps?.moves.length).toBeGreaterThan(8);
  });

  it("goes on after an interrupt with the moves that are measured, and does nothing when it is finished", async () => {
    const whole = paperEngine();
    const { swaps } = await runOn(whole);
    const withoutSwaps = (await readCalls({ swaps: "off" })).filter(probing).length;
    await rm(place.out, { recursive: true });
    const begun = paperEngine((call) => {
      if (probing(call) && begun.calls.filter(probing).length === withoutSwaps + 6) throw interruption();
    });
    await expect(runOn(begun)).rejects.toMatchObject(INTERRUPTED);
    const again = paperEngine();
    const resumed = await runOn(again);
    // the plan itself, which moves are compared with, and those that were not measured
    expect(again.calls.filter(probing).length).toBe(1 + (swaps?.moves.length ?? 0) - 4);
    expect(resumed.swaps?.moves).toEqual(swaps?.moves);
    const finished = paperEngine();
    expect((await runOn(finished)).swaps).toEqual(resumed.swaps);
    expect(finished.calls).toEqual([]);
  });

  it("keeps the swapped plan where it was accepted, also when it goes on; controls stay those of the probes", async () => {
    const before = await runOn(paperEngine());
    const [unswapped, shuffled] = [await typesOf(), before.rows.filter(({ kind }) => kind === "shuffle")];
    const accepted = (swaps: Swaps | undefined): Swaps => ({
      chunks: 16,
      moves: (swaps?.moves ?? []).map((move) => ({
        ...move,
        effect: {
          value: move.predicted * (move.tensor.startsWith("blk.0") === (move.step === "up") ? 6 : -0.3),
          se: 0,
        },
      })),
      accepted: true,
      outcome: "swapped plan kept",
    });
    // nothing is measured yet
    const fresh = async () =>
      rewriteState(({ rows: _, outputs: __, finishedAt: ___, kept = [], ...state }) => ({
        ...state,
        rows: [],
        kept: kept.filter(({ path }) => !path.startsWith("models")),
        swaps: accepted(before.swaps),
      }));
    await fresh();
    const result = await runOn(paperEngine());
    const swapped = await typesOf();
    expect(swapped).not.toEqual(unswapped);
    expect(result.rows.filter(({ kind }) => kind === "shuffle").map(({ label, bpw }) => [label, bpw])).toEqual(
      shuffled.map(({ label, bpw }) => [label, bpw]),
    );
    await fresh();
    const stopped = paperEngine((call) => {
      if (call.startsWith("quantize plan.gguf")) throw interruption();
    });
    await rm(join(place.out, "models"), { recursive: true });
    await expect(runOn(stopped)).rejects.toMatchObject(INTERRUPTED);
    await runOn(paperEngine());
    expect(await typesOf()).toEqual(swapped);
  });

  it("does not begin to swap what was measured without, and says where there is no time or no text to try it", async () => {
    const stopped = (
      engine = paperEngine((call) => {
        if (call.startsWith("quantize plan.gguf")) throw interruption();
      }),
    ) => runOn(engine);
    await runOn(paperEngine());
    await rewriteState(({ swaps: _, ...state }) => state);
    expect((await runOn(paperEngine())).swaps).toBeUndefined();
    await rm(place.out, { recursive: true });
    await expect(stopped()).rejects.toMatchObject(INTERRUPTED);
    await rewriteState(({ swaps: _, probeBudget, ...state }) => ({
      ...state,
      ...(probeBudget && { probeBudget: { ...probeBudget, trialChunks: 0 } }),
    }));
    const untried = await runOn(paperEngine());
    expect(untried.swaps).toMatchObject({ chunks: 0, moves: [], accepted: false });
    expect(untried.swaps?.outcome).toMatch(/^no swaps/);
  });

  it("is another run than the same with swaps asked for", async () => {
    await runOn(paperEngine());
    await expect(runOn(paperEngine(), { swaps: "off" })).rejects.toThrow(/--swaps was not given, now off/);
  });
});

async function readCalls(more: Partial<RunRequest>): Promise<readonly string[]> {
  const out = place.out;
  place.out = await place.newOut();
  const engine = paperEngine();
  await runOn(engine, more);
  place.out = out;
  return engine.calls;
}
