import { describe, expect, test } from "vitest";
import { allocate, boundLoss } from "../../src/allocate/allocate.ts";
import type { Assignment, Item, Problem } from "../../src/allocate/problem.ts";
import { InfeasibleError, UsageError } from "../../src/errors.ts";
import { bruteForce, budgetsOf, modelItems, seeded, smallItems } from "./random-problem.ts";

/** Rounding of a sum in another order. */
const ROUNDING = 1e-12;

/** Cost an assignment again from its types, without trusting what it says. */
function costOf({ items }: Problem, { types }: Assignment): { bytes: number; loss: number } {
  const groupTypes = new Map<string, string>();
  let bytes = 0;
  let loss = 0;
  for (const { name, options, group } of items) {
    const option = options.find(({ type }) => type === types.get(name));
    if (option === undefined) throw new Error(`${name} has no legal type`);
    if (group !== undefined) {
      if ((groupTypes.get(group) ?? option.type) !== option.type) throw new Error(`group ${group} has two types`);
      groupTypes.set(group, option.type);
    }
    bytes += option.bytes;
    loss += option.loss;
  }
  return { bytes, loss };
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  return list
    .map((value) => ({ value, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ value }) => value);
}

describe("allocate", () => {
  test("equals brute force on 800 small instances, and is infeasible exactly where it is", () => {
    const random = seeded(1);
    let feasible = 0;
    let offHull = 0;
    for (let instance = 0; instance < 800; instance++) {
      const items = smallItems(random);
      const budgetBytes = Math.floor(random() * 40 * items.length);
      const problem = { items, budgetBytes };
      const truth = bruteForce(problem);
      if (truth === undefined) {
        expect(() => allocate(problem)).toThrow(InfeasibleError);
        continue;
      }
      feasible++;
      const result = allocate(problem);
      expect(costOf(problem, result).bytes).toBe(result.bytes);
      expect(result.bytes).toBeLessThanOrEqual(budgetBytes);
      expect(Math.abs(result.loss - truth.loss)).toBeLessThanOrEqual(ROUNDING * truth.loss);
      expect(result.gap).toBe(0);
      expect(result.lowerBound).toBe(result.loss);
      if (boundLoss(problem) < truth.loss * (1 - 1e-6)) offHull++;
    }
    expect(feasible).toBeGreaterThan(400);
    expect(offHull).toBeGreaterThan(100);
  });

  test("with few states is never over budget, and its bound holds", () => {
    const random = seeded(2);
    let open = 0;
    for (let instance = 0; instance < 60; instance++) {
      const elements = Array.from({ length: 7 }, () => Math.floor(1000 * Math.exp(2 * random())));
      const items = modelItems(elements, random).map(({ name, options }) => ({ name, options: options.slice(2, 7) }));
      const budgetBytes = budgetsOf(items, 20)[1 + (instance % 18)] as number;
      const truth = bruteForce({ items, budgetBytes });
      if (truth === undefined) throw new Error("the budget is at least the smallest choice");
      for (const maxStates of [0, 3, 30]) {
        const result = allocate({ items, budgetBytes }, { maxStates });
        expect(costOf({ items, budgetBytes }, result).bytes).toBeLessThanOrEqual(budgetBytes);
        expect(result.loss).toBeGreaterThanOrEqual(truth.loss * (1 - ROUNDING));
        expect(result.lowerBound).toBeLessThanOrEqual(truth.loss * (1 + ROUNDING));
        if (result.gap > 0) open++;
      }
    }
    expect(open).toBeGreaterThan(20);
  });

  const random = seeded(3);
  const dense = Array.from({ length: 120 }, () => 256 * Math.ceil(4096 * Math.exp(3 * random())));
  const irregular = (_: string, elements: number): number => Math.floor(elements * (0.3 + random()));
  const cases: { label: string; items: Item[]; maxStates: number; budgets: number }[] = [
    {
      label: "small, proven",
      items: smallItems(seeded(9), 6).map(({ name, options }) => ({ name, options })),
      maxStates: 2 ** 12,
      budgets: 500,
    },
    { label: "model-shaped, proven", items: modelItems(dense, random), maxStates: 2 ** 15, budgets: 100 },
    { label: "model-shaped, out of states", items: modelItems(dense, random), maxStates: 1000, budgets: 200 },
    {
      label: "irregular bytes, out of states",
      items: modelItems(dense, random, irregular),
      maxStates: 300,
      budgets: 500,
    },
    {
      label: "two huge tensors, out of states",
      items: modelItems([2e8, 2e8, ...dense], random),
      maxStates: 1000,
      budgets: 200,
    },
    {
      label: "identical tensors, out of states",
      items: modelItems(dense.fill(2 ** 20), () => 0.5),
      maxStates: 300,
      budgets: 200,
    },
  ];
  test.each(cases)("gives no more loss for a larger budget ($label)", ({ items, maxStates, budgets }) => {
    let last = Number.POSITIVE_INFINITY;
    let open = 0;
    for (const budgetBytes of budgetsOf(items, budgets)) {
      const result = allocate({ items, budgetBytes }, { maxStates });
      expect(result.bytes).toBeLessThanOrEqual(budgetBytes);
      expect(result.loss).toBeLessThanOrEqual(last * (1 + 1e-15));
      expect(result.lowerBound).toBeLessThanOrEqual(result.loss);
      last = result.loss;
      if (result.gap > 0) open++;
    }
    if (maxStates <= 1000) expect(open).toBeGreaterThan(budgets / 20);
  });

  test("does not depend on the order of items and options", () => {
    const mixed = seeded(4);
    for (let instance = 0; instance < 300; instance++) {
      const items = instance < 290 ? smallItems(mixed) : modelItems(dense, mixed);
      const budgetBytes = budgetsOf(items, 3)[1] as number;
      if (isInfeasible({ items, budgetBytes })) continue;
      const again = shuffled(items, mixed).map((item) => ({ ...item, options: shuffled(item.options, mixed) }));
      const [a, b] = [items, again].map((order) => allocate({ items: order, budgetBytes }, { maxStates: 2000 }));
      expect(Object.fromEntries(b?.types ?? [])).toEqual(Object.fromEntries(a?.types ?? []));
      expect({ ...b, types: 0 }).toEqual({ ...a, types: 0 });
    }
  });

  test("takes fewer bytes, then the type whose name comes first, where losses are equal", () => {
    const options = [
      { type: "Q4_K", bytes: 5, loss: 1 },
      { type: "IQ4_NL", bytes: 4, loss: 1 },
      { type: "Q4_0", bytes: 4, loss: 1 },
    ] as const;
    const result = allocate({ items: [{ name: "a", options }], budgetBytes: 10 });
    expect(result.types.get("a")).toBe("IQ4_NL");
    expect(result.bytes).toBe(4);
  });

  test("keeps savings of 1e-12 beside losses of 1e12", () => {
    const items: Item[] = [
      { name: "big", options: [{ type: "Q4_0", bytes: 10, loss: 1e12 }] },
      {
        name: "tiny",
        options: [
          { type: "Q4_0", bytes: 10, loss: 2e-12 },
          { type: "Q8_0", bytes: 20, loss: 1e-12 },
        ],
      },
    ];
    expect(allocate({ items, budgetBytes: 30 }).types.get("tiny")).toBe("Q8_0");
    expect(allocate({ items, budgetBytes: 29 }).types.get("tiny")).toBe("Q4_0");
  });

  test("says what was asked and what is possible when nothing fits", () => {
    const items: Item[] = [
      {
        name: "a",
        options: [
          { type: "Q4_0", bytes: 100, loss: 2 },
          { type: "Q8_0", bytes: 180, loss: 3 },
        ],
      },
      { name: "b", options: [{ type: "Q4_0", bytes: 50, loss: 2 }] },
    ];
    try {
      allocate({ items, budgetBytes: 149 });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InfeasibleError);
      expect((error as InfeasibleError).possible).toEqual({ minBytes: 150, maxBytes: 230 });
      expect((error as InfeasibleError).message).toMatch(/149.*150.*230/);
    }
    expect(allocate({ items, budgetBytes: 150 }).bytes).toBe(150);
  });

  test("names the group whose members share no type", () => {
    const items: Item[] = [
      { name: "a", group: "qk", options: [{ type: "Q4_0", bytes: 1, loss: 1 }] },
      { name: "b", group: "qk", options: [{ type: "Q8_0", bytes: 1, loss: 1 }] },
    ];
    expect(() => allocate({ items, budgetBytes: 9 })).toThrow(/group "qk"[\s\S]*a: Q4_0[\s\S]*b: Q8_0/);
  });

  test("refuses options that are no numbers, tensors without options, and tensors listed twice", () => {
    const solve = (...items: Item[]) => allocate({ items, budgetBytes: 10 });
    const good = { type: "Q4_0", bytes: 1, loss: 1 } as const;
    expect(() => solve({ name: "a", options: [] })).toThrow(UsageError);
    expect(() => solve({ name: "a", options: [{ ...good, loss: Number.NaN }] })).toThrow(/a as Q4_0.*finite loss.*NaN/);
    expect(() => solve({ name: "a", options: [{ ...good, bytes: 1.5 }] })).toThrow(/whole bytes.*1.5/);
    expect(() => solve({ name: "a", options: [good] }, { name: "a", options: [good] })).toThrow(/twice/);
    expect(() => allocate({ items: [], budgetBytes: Number.NaN })).toThrow(/not a number/);
  });

  test("takes the best of everything when the budget has room, or no tensor at all", () => {
    const items = modelItems([2 ** 20, 2 ** 22], seeded(5));
    const result = allocate({ items, budgetBytes: Number.POSITIVE_INFINITY });
    expect([...result.types.values()]).toEqual(["F16", "F16"]);
    expect(result).toMatchObject({ gap: 0, lambda: 0 });
    expect(allocate({ items: [], budgetBytes: 0 })).toMatchObject({ bytes: 0, loss: 0, gap: 0 });
  });

  test("reports the slope of the next step as lambda", () => {
    const options = [
      { type: "Q4_0", bytes: 10, loss: 100 },
      { type: "Q8_0", bytes: 30, loss: 20 },
    ] as const;
    expect(allocate({ items: [{ name: "a", options }], budgetBytes: 20 })).toMatchObject({ lambda: 4, loss: 100 });
  });
});

function isInfeasible(problem: Problem): boolean {
  try {
    boundLoss(problem);
    return false;
  } catch {
    return true;
  }
}
