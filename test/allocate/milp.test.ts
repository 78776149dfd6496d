import highsModule from "highs";
import { expect, test } from "vitest";
import { allocate } from "../../src/allocate/allocate.ts";
import type { Problem } from "../../src/allocate/problem.ts";
import { budgetsOf, ggmlBytes, modelItems, seeded } from "./random-problem.ts";

// The package's types describe its CommonJS file; the module Node imports exports the loader itself.
const loadHighs = highsModule as unknown as typeof highsModule.default;
/** Relative gap the MILP solver is asked to close. */
const MIP_GAP = 1e-7;
/** Relative agreement of the two optima. */
const AGREEMENT = 1e-6;

/** The problem as CPLEX LP text; losses as shares of `scale`, bytes as shares of the budget's unit. */
function lpText({ items, budgetBytes }: Problem, scale: number): string {
  const unitBytes = 2 ** 12;
  const objective: string[] = [];
  const weight: string[] = [];
  const choices: string[] = [];
  items.forEach(({ options }, i) => {
    objective.push(options.map(({ loss }, j) => `+ ${(loss / scale).toPrecision(15)} x${i}_${j}`).join(" "));
    weight.push(options.map(({ bytes }, j) => `+ ${bytes / unitBytes} x${i}_${j}`).join(" "));
    choices.push(` c${i}: ${options.map((_, j) => `x${i}_${j}`).join(" + ")} = 1`);
  });
  const names = items.flatMap(({ options }, i) => options.map((_, j) => ` x${i}_${j}`));
  return [
    "Minimize",
    ` loss: ${objective.join("\n")}`,
    "Subject To",
    ` budget: ${weight.join("\n")} <= ${budgetBytes / unitBytes}`,
    ...choices,
    "Binary",
    ...names,
    "End",
  ].join("\n");
}

const random = seeded(11);
const tensors = (count: number, spread: number): number[] =>
  Array.from({ length: count }, () => 256 * Math.ceil(2048 * Math.exp(spread * random())));
const irregular = (type: Parameters<typeof ggmlBytes>[0], elements: number): number =>
  Math.floor(ggmlBytes(type, elements) * (0.95 + 0.1 * random()));

test.each([
  { label: "one shape, 200 tensors", items: modelItems(tensors(200, 0), random), share: 4 },
  { label: "many shapes, 200 tensors", items: modelItems(tensors(200, 3), random), share: 3 },
  { label: "irregular bytes, 200 tensors", items: modelItems(tensors(200, 2), random, irregular), share: 5 },
  { label: "two huge tensors, 150 more", items: modelItems([1e9, 1e9, ...tensors(150, 2)], random), share: 4 },
])(
  "equals the optimum of HiGHS within 1e-6 ($label)",
  async ({ items, share }) => {
    const highs = await loadHighs();
    const problem = { items, budgetBytes: budgetsOf(items, 20)[share] as number };
    const result = allocate(problem);
    const options = { mip_rel_gap: MIP_GAP, output_flag: false };
    const solution = highs.solve(lpText(problem, result.loss / 100), options);
    expect(solution.Status).toBe("Optimal");
    const optimum = (solution.ObjectiveValue * result.loss) / 100;
    expect(result.gap).toBeLessThanOrEqual(AGREEMENT);
    expect(Math.abs(result.loss / optimum - 1)).toBeLessThanOrEqual(AGREEMENT);

    const hurried = allocate(problem, { maxStates: 500 });
    expect(hurried.loss).toBeGreaterThanOrEqual(optimum * (1 - AGREEMENT));
    expect(hurried.lowerBound).toBeLessThanOrEqual(optimum * (1 + AGREEMENT));
  },
  60_000,
);
