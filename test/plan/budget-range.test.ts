import { expect, it } from "vitest";
import { InfeasibleError } from "../../src/errors.ts";
import { checkBudget } from "../../src/plan/budget-range.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { planHeaderBytes } from "../../src/plan/predict.ts";
import { syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

const analysis = syntheticAnalysis();
const model = {
  facts: analysis.facts,
  headerBytes: planHeaderBytes(analysis),
  tensors: analysis.tensors.map(({ name, shape, sourceType }) => ({ name, shape, type: sourceType })),
};
const guards = { head: false, noise: false, small: false, mtp: false };
const plan = (budget: Parameters<typeof checkBudget>[0]) =>
  makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget, guards });

it("refuses exactly the sizes that the planner could not meet, and says the least", () => {
  const least = (() => {
    try {
      checkBudget({ kind: "fileBytes", value: 1 }, model);
    } catch (error) {
      if (error instanceof InfeasibleError) return error.possible?.minBytes ?? 0;
    }
    return 0;
  })();
  const fits = { kind: "fileBytes", value: least } as const;
  expect(() => checkBudget(fits, model)).not.toThrow();
  expect(plan(fits).predicted.fileBytes).toBe(least);
  const short = { kind: "fileBytes", value: least - 1 } as const;
  expect(() => checkBudget(short, model)).toThrow(/smallest file of this model takes/);
  expect(() => plan(short)).toThrow(InfeasibleError);
});

it("counts bits per weight over the tensors alone, and allows smaller types with an imatrix", () => {
  expect(() => checkBudget({ kind: "bpw", value: 2.5 }, model)).toThrow(/or give an imatrix/);
  expect(() => checkBudget({ kind: "bpw", value: 2.8 }, model)).not.toThrow();
  const hasImportance = (name: string) => name.startsWith("blk.");
  expect(() => checkBudget({ kind: "bpw", value: 2.5 }, { ...model, hasImportance })).not.toThrow();
});
