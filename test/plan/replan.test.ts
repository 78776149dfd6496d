import { describe, expect, it } from "vitest";
import type { Constraint } from "../../src/allocate/problem.ts";
import type { BudgetRequest } from "../../src/plan/budget.ts";
import { exactName } from "../../src/plan/exact-name.ts";
import { makePlan, type PlanOptions } from "../../src/plan/make-plan.ts";
import { readPlan } from "../../src/plan/read-plan.ts";
import { replan } from "../../src/plan/replan.ts";
import { serializePlan } from "../../src/plan/serialize-plan.ts";
import { syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

const createdAt = "2026-01-01T00:00:00.000Z";
const budgets: readonly BudgetRequest[] = [
  { kind: "bpw", value: 3.1 },
  { kind: "bpw", value: 5.5 },
  { kind: "like", fileType: "Q4_K_M" },
  { kind: "fileBytes", value: 1_900_000 },
];

describe.each([false, true])("replan, with importance values: %s", (imatrix) => {
  const analysis = syntheticAnalysis({ imatrix, nextnLayers: 1, extra: { "output_norm.bias": [256] } });
  const sensitivity = uniformSensitivity(analysis);
  const make = (options: Partial<PlanOptions>) =>
    makePlan({ analysis, sensitivity, budget: { kind: "like", fileType: "Q3_K_M" }, createdAt, ...options });
  const opened = readPlan(serializePlan(make({})), "plan.json");

  it.each(budgets)("gives the plan that the analysis gives for $kind $value$fileType, to the last digit", (budget) => {
    expect(serializePlan(replan(opened, { budget, createdAt }))).toBe(serializePlan(make({ budget })));
    // once more from what was remembered
    expect(replan(opened, { budget, createdAt })).toEqual(make({ budget }));
  });

  it("keeps the user's constraints unless others are given, and makes PRISM's own anew", () => {
    const constraints: Constraint[] = [{ kind: "pin", pattern: exactName("blk.2.attn_k.weight"), type: "Q6_K" }];
    const budget = budgets[0] as BudgetRequest;
    const pinned = make({ budget, constraints });
    expect(replan(opened, { budget, constraints, createdAt })).toEqual(pinned);
    expect(replan(pinned, { budget, createdAt })).toEqual(pinned);
    expect(replan(pinned, { budget, constraints: [], createdAt })).toEqual(make({ budget }));
  });

  it("leaves off the guards that were off", () => {
    const budget = budgets[0] as BudgetRequest;
    const guards = { head: false, small: false };
    const bare = readPlan(serializePlan(make({ guards })), "plan.json");
    expect(replan(bare, { budget, createdAt })).toEqual(make({ budget, guards }));
  });

  it("gives a file that is read back as it was written", () => {
    const constraints: Constraint[] = [{ kind: "pin", pattern: "attn_v", type: "Q5_K" }];
    const text = serializePlan(replan(opened, { budget: budgets[1] as BudgetRequest, constraints, createdAt }));
    expect(serializePlan(readPlan(text, "plan.json"))).toBe(text);
  });
});
