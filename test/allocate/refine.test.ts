import { describe, expect, test } from "vitest";
import { allocate } from "../../src/allocate/allocate.ts";
import type { Item } from "../../src/allocate/problem.ts";
import { allocateByClass } from "../../src/allocate/refine.ts";
import { efficientOptions } from "../../src/allocate/units.ts";
import { budgetsOf, modelItems, seeded } from "./random-problem.ts";

const CLASSES = ["attn_q", "attn_v", "ffn_up", "ffn_down"];
const classOf = (name: string): string => name.split(".").at(-2) ?? name;

function blocks(seed: number): Item[] {
  const random = seeded(seed);
  const elements = Array.from({ length: 12 }, () => [2 ** 20, 2 ** 18, 2 ** 21, 2 ** 21]).flat();
  return modelItems(elements, random).map((item, i) => ({
    ...item,
    name: `blk.${Math.floor(i / CLASSES.length)}.${CLASSES[i % CLASSES.length]}.weight`,
  }));
}

describe("allocateByClass", () => {
  test("is within the budget, no worse than one type per class, no better than no classes", () => {
    let better = 0;
    for (let seed = 0; seed < 10; seed++) {
      const items = blocks(seed);
      for (const budgetBytes of budgetsOf(items, 12)) {
        const problem = { items, budgetBytes };
        const grouped = items.map((item) => ({ ...item, group: classOf(item.name) }));
        const perClass = allocate({ items: grouped, budgetBytes });
        const refined = allocateByClass(problem, classOf);
        const free = allocate(problem);
        expect(refined.bytes).toBeLessThanOrEqual(budgetBytes);
        expect(refined.loss).toBeLessThanOrEqual(perClass.loss);
        expect(refined.loss).toBeGreaterThanOrEqual(free.loss * (1 - 1e-12));
        expect(refined.lowerBound).toBeLessThanOrEqual(free.loss);
        if (refined.loss < perClass.loss * 0.999) better++;
      }
    }
    expect(better).toBeGreaterThan(50);
  });

  test("keeps each tensor within one of its own steps of its class's type", () => {
    const items = blocks(3);
    for (const budgetBytes of budgetsOf(items, 12)) {
      const grouped = items.map((item) => ({ ...item, group: classOf(item.name) }));
      const perClass = allocate({ items: grouped, budgetBytes });
      const refined = allocateByClass({ items, budgetBytes }, classOf);
      for (const { name, options } of items) {
        const own = options.find(({ type }) => type === perClass.types.get(name));
        if (own === undefined) throw new Error(`${name} has no class type`);
        const list = efficientOptions(options);
        const below = list.filter((option) => option.type !== own.type && option.bytes <= own.bytes).length;
        const above = list.findIndex((option) => option.bytes > own.bytes);
        const near = [own, list[below - 1], above < 0 ? undefined : list[above]].map((option) => option?.type);
        expect(near).toContain(refined.types.get(name));
      }
    }
  });

  test("leaves a pinned tensor out of its class, and tied tensors together", () => {
    const items = blocks(4).map((item): Item => {
      if (item.name === "blk.0.ffn_up.weight") return { ...item, options: item.options.slice(-2, -1) };
      return item.name.includes("attn") ? { ...item, group: "attention" } : item;
    });
    const { types } = allocateByClass({ items, budgetBytes: budgetsOf(items, 6)[1] as number }, classOf);
    expect(types.size).toBe(items.length);
    expect(types.get("blk.0.ffn_up.weight")).toBe("Q8_0");
    const attention = items.filter(({ group }) => group !== undefined).map(({ name }) => types.get(name));
    expect(new Set(attention).size).toBe(1);
    expect(types.get("blk.1.ffn_up.weight")).not.toBe("Q8_0");
  });

  test("does not depend on the order of the items", () => {
    const items = blocks(5);
    const budgetBytes = budgetsOf(items, 7)[2] as number;
    const forward = allocateByClass({ items, budgetBytes }, classOf);
    const backward = allocateByClass({ items: [...items].reverse(), budgetBytes }, classOf);
    expect(Object.fromEntries(backward.types)).toEqual(Object.fromEntries(forward.types));
    expect(backward.loss).toBe(forward.loss);
  });
});
