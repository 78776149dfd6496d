import { describe, expect, it } from "vitest";
import type { Constraint } from "../../src/allocate/problem.ts";
import { bitsPerWeight } from "../../src/ggml/tensor-types.ts";
import { makePlan, type PlanOptions } from "../../src/plan/make-plan.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { chooseMoves, expectedEffects, movedPlan, type WeighedMove } from "../../src/probes/choose-moves.ts";
import { type MeasuredMove, type PlanMove, planMoves } from "../../src/probes/plan-moves.ts";
import { syntheticAnalysis, uniformSensitivity } from "../plan/synthetic-analysis.ts";

const analysis = syntheticAnalysis({ imatrix: true });
const options: PlanOptions = {
  analysis,
  sensitivity: uniformSensitivity(analysis),
  budget: { kind: "bpw", value: 2.7 },
  guards: { head: false, noise: false },
};
const plan = makePlan(options);
const moves = planMoves(plan);

/** As predicted, but for what `times` says, with an error of a hundredth. */
const measure = (times: (move: PlanMove) => number): MeasuredMove[] =>
  moves.map((move) => ({
    ...move,
    effect: { value: times(move) * move.predicted, se: Math.abs(move.predicted) / 100 },
  }));

const changes = (made: Plan) =>
  made.tensors.flatMap(({ name, type }, at) => {
    const before = plan.tensors[at] as Plan["tensors"][number];
    if (type === before.type) return [];
    return [`${name} ${type === before.up?.type ? "up" : type === before.down?.type ? "down" : "further"}`];
  });

describe("moves of a plan", () => {
  it("are steps of single tensors that gain up and lose down, as its budget counts their bytes", () => {
    expect(moves.length).toBeGreaterThan(20);
    for (const { tensor, step, type, predicted, bytes } of moves) {
      expect([Math.sign(predicted), Math.sign(bytes)]).toEqual(step === "up" ? [-1, 1] : [1, -1]);
      const planned = plan.tensors.find(({ name }) => name === tensor);
      expect(planned?.[step]?.type).toBe(type);
    }
  });

  it("are at most 48, those that are hardly dearer than their bytes first", () => {
    const large = syntheticAnalysis({ imatrix: true, layers: 24 });
    const many = makePlan({ ...options, analysis: large, sensitivity: uniformSensitivity(large) });
    const chosen = planMoves(many);
    expect(chosen).toHaveLength(48);
    // a head that weighs a thousand times as much as its bytes goes nowhere
    const sensitivity = uniformSensitivity(large);
    const values = new Map([
      ...sensitivity.values,
      ["output.weight", 1e3 * (sensitivity.values.get("output.weight") ?? 0)],
    ]);
    const heavy = makePlan({ ...options, analysis: large, sensitivity: { ...sensitivity, values } });
    expect(planMoves(heavy).filter(({ tensor, step }) => tensor === "output.weight" && step === "down")).toEqual([]);
  });

  it("leave pinned and tied tensors alone, and do no step that a constraint forbids", () => {
    const movesWith = (constraint: Constraint) => planMoves(makePlan({ ...options, constraints: [constraint] }));
    const pinned = movesWith({ kind: "pin", pattern: "ffn_up", type: "Q3_K" });
    expect(pinned.filter(({ tensor }) => /ffn_up/.test(tensor))).toEqual([]);
    const tied = movesWith({ kind: "tie", pattern: "attn_[qkv]" });
    expect(tied.filter(({ tensor }) => /attn_[qkv]/.test(tensor))).toEqual([]);
    const floored = movesWith({ kind: "floor", pattern: "ffn_up", type: "Q3_K" });
    for (const { tensor, type } of floored) {
      if (/ffn_up/.test(tensor)) expect(bitsPerWeight(type)).toBeGreaterThanOrEqual(bitsPerWeight("Q3_K"));
    }
  });
});

describe("a moved plan", () => {
  it("stays as it was where moves do what is predicted, at whatever level", () => {
    expect(
      changes(
        movedPlan(
          options,
          plan,
          measure(() => 1),
        ),
      ),
    ).toEqual([]);
    expect(
      changes(
        movedPlan(
          options,
          plan,
          measure(() => 3),
        ),
      ),
    ).toEqual([]);
  });

  it("takes moves that bring more and pays with those that cost less, at the same budget", () => {
    const up = moves.find(({ step, tensor }) => step === "up" && tensor.includes("attn_v")) as PlanMove;
    const down = moves.find(({ step, tensor, bytes }) => step === "down" && tensor !== up.tensor && -bytes >= up.bytes);
    const favoured = measure((move) => (move === up ? 6 : move === down ? -0.5 : 1));
    const moved = movedPlan(options, plan, favoured);
    const changed = changes(moved);
    expect(changed).toEqual(expect.arrayContaining([`${up.tensor} up`, `${down?.tensor} down`]));
    expect(changed.filter((change) => change.endsWith("further"))).toEqual([]);
    expect(moved.predicted.fileBytes).toBeLessThanOrEqual(plan.budget.fileBytes);
    // what it predicts is the sum of single tensors still
    expect(moved.predicted.loss).toBeGreaterThan(plan.predicted.loss);
    expect(moved.predicted.lowerBound).toBe(plan.predicted.lowerBound);
    expect(moved.sensitivity.version).toBe(`${options.sensitivity.version}, ${moves.length} moves`);
  });
});

describe("expected effects", () => {
  const move = (predicted: number, value: number, se: number): MeasuredMove => ({
    tensor: "",
    step: predicted < 0 ? "up" : "down",
    predicted,
    effect: { value, se },
  });

  it("are the predicted ones, at the level of all, where no more is seen than noise", () => {
    const noisy = expectedEffects([move(-1, -2.1, 1), move(1, 1.9, 1), move(2, 4, 1)]);
    for (const [at, expected] of [-2, 2, 4].entries()) expect(noisy[at]).toBeCloseTo(expected, 5);
  });

  it("are the measured ones where these are sure, also of the other sign", () => {
    const sure = expectedEffects([move(-1, 3, 1e-4), move(1, 4, 1e-4), move(2, 3, 1e-4)]);
    for (const [at, expected] of [3, 4, 3].entries()) expect(sure[at]).toBeCloseTo(expected, 5);
  });

  it("are in between else", () => {
    const [effect = 0] = expectedEffects([move(1, 3, 0.5), move(1, 0, 0.5), move(1, 0, 0.5)]);
    expect(effect).toBeGreaterThan(1.1);
    expect(effect).toBeLessThan(2.9);
  });
});

describe("chosen moves", () => {
  const move = (tensor: string, bytes: number, effect: number): WeighedMove => ({
    tensor,
    step: bytes > 0 ? "up" : "down",
    bytes,
    effect,
    predicted: effect,
    type: "Q2_K",
  });

  it("are those of least effect within the bytes, one of a tensor", () => {
    const moves = [
      move("a", 100, -5),
      move("a", -40, 1),
      move("b", 60, -2),
      move("b", -60, 1),
      move("c", -50, 1),
      move("d", -10, 3),
    ];
    const effectOf = (bytes: number) => chooseMoves(moves, bytes).reduce((sum, { effect }) => sum + effect, 0);
    const every = (bytes: number) => {
      let best = 0;
      for (let set = 0; set < 2 ** moves.length; set++) {
        const taken = moves.filter((_, at) => (set >> at) & 1);
        if (new Set(taken.map(({ tensor }) => tensor)).size < taken.length) continue;
        if (taken.reduce((sum, own) => sum + own.bytes, 0) > bytes) continue;
        best = Math.min(
          best,
          taken.reduce((sum, { effect }) => sum + effect, 0),
        );
      }
      return best;
    };
    for (const bytes of [0, 10, 50, 100, 160]) expect(effectOf(bytes)).toBe(every(bytes));
    expect(chooseMoves(moves, 0).map(({ tensor, step }) => `${tensor} ${step}`)).toEqual(["a up", "b down", "c down"]);
  });

  it("are none where none gain", () => {
    expect(chooseMoves([move("a", 10, -1), move("b", -10, 1.5)], 0)).toEqual([]);
  });

  it("are found among more sets than are kept", () => {
    const many = Array.from({ length: 40 }, (_, at) => [
      move(`${at}`, 101 + at ** 2, -at),
      move(`${at}`, -50 - at, 0.5 * at),
    ]);
    const taken = chooseMoves(many.flat(), 0);
    expect(taken.length).toBeGreaterThan(5);
    expect(taken.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(0);
  });
});
