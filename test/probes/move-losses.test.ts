import { describe, expect, it } from "vitest";
import { makePlan, type PlanOptions } from "../../src/plan/make-plan.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { factorOf, movedPlan } from "../../src/probes/move-losses.ts";
import { type MeasuredMove, moveGroup, type PlanMove, planMoves } from "../../src/probes/plan-moves.ts";
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
  made.tensors.flatMap(({ name, type, up, down, ...tensor }, at) => {
    const before = plan.tensors[at] as Plan["tensors"][number];
    const group = moveGroup({ name, ...tensor }, plan.facts.layers);
    if (type === before.type) return [];
    return [{ group, step: type === before.up?.type ? "up" : type === before.down?.type ? "down" : "further" }];
  });

describe("moves of a plan", () => {
  it("are a step of each half of a class, and of what no layer has, that gains up and loses down", () => {
    expect(moves.map(({ group }) => group)).toEqual(
      expect.arrayContaining(["token_embd.weight", "output.weight", "ffn_down 1 of 2", "ffn_down 2 of 2"]),
    );
    for (const { step, predicted } of moves) expect(Math.sign(predicted)).toBe(step === "up" ? -1 : 1);
    const [move] = moves.filter(({ group, step }) => group === "ffn_up 2 of 2" && step === "up");
    expect([...(move?.types.keys() ?? [])]).toEqual(["blk.2.ffn_up.weight", "blk.3.ffn_up.weight"]);
  });

  it("leave pinned tensors alone", () => {
    const constraints = [{ kind: "pin", pattern: "ffn_up", type: "Q3_K" }] as const;
    const pinned = planMoves(makePlan({ ...options, constraints }));
    expect(pinned.filter(({ group }) => group.startsWith("ffn_up"))).toEqual([]);
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

  it("takes the steps that bring more and pays with those that cost less, at the same budget", () => {
    const favoured = measure(({ group, step }) => {
      if (group === "ffn_down 2 of 2" && step === "up") return 3;
      return group === "ffn_up 1 of 2" && step === "down" ? 0.2 : 1;
    });
    const moved = movedPlan(options, plan, favoured);
    const changed = changes(moved);
    expect(changed).toContainEqual({ group: "ffn_down 2 of 2", step: "up" });
    expect(changed).toContainEqual({ group: "ffn_up 1 of 2", step: "down" });
    expect(changed.filter(({ step }) => step === "further")).toEqual([]);
    expect(moved.predicted.fileBytes).toBeLessThanOrEqual(plan.budget.fileBytes);
    // what it predicts is the sum of single tensors still
    expect(moved.predicted.loss).toBeGreaterThan(plan.predicted.loss);
    expect(moved.predicted.lowerBound).toBe(plan.predicted.lowerBound);
    expect(moved.sensitivity.version).toBe(`${options.sensitivity.version}, ${moves.length} moves`);
  });

  it("takes no step that was not measured", () => {
    const few = measure(() => 1).filter(({ step }) => step === "down");
    expect(changes(movedPlan({ ...options, budget: { kind: "bpw", value: 3.5 } }, plan, few))).toEqual([]);
  });
});

describe("the factor of a move", () => {
  const factor = (value: number, se: number, level = 1) =>
    factorOf({ group: "", step: "up", predicted: -2, effect: { value, se } }, level);

  it("is what was measured where that is sure, and nearly 1 where it drowns in noise", () => {
    expect(factor(-4, 1e-6)).toBeCloseTo(2, 5);
    expect(factor(-4, 1)).toBeCloseTo(1.5, 5);
    expect(factor(-4, 100)).toBeCloseTo(1, 2);
  });

  it("is against the level of all moves, above zero, and 1 where they say nothing", () => {
    expect(factor(-8, 1e-6, 2)).toBeCloseTo(2, 5);
    expect(factor(4, 1e-6)).toBe(0.25);
    expect(factor(-4, 1e-6, 0)).toBe(1);
  });
});
