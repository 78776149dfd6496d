/**
 * Class mode: one type per tensor class first, then refinement per tensor (so per block), in one solver and one budget.
 * The refinement solves again without the classes, each tensor held within one step of its class's type, and is kept
 * only if it is no worse; the class solution is always one of its choices.
 */
import { allocate, boundLoss, DEFAULT_EFFORT, type Effort } from "./allocate.ts";
import type { Assignment, Item, Option, Problem } from "./problem.ts";
import { compareNames, formUnits, type Unit } from "./units.ts";

/**
 * Allocate by class, then refine. A class is split where its tensors don't offer the same types (pins, fallbacks);
 * tensors already grouped stay together, apart from their class. `lowerBound` holds for every assignment of the
 * problem, so the gap includes what class mode costs. Unlike `allocate`, not monotone in the budget.
 */
export function allocateByClass(
  problem: Problem,
  classOf: (name: string) => string,
  effort: Effort = DEFAULT_EFFORT,
): Assignment {
  const { budgetBytes } = problem;
  const units = formUnits(problem.items);
  const byClass = allocate({ items: units.map((unit) => classItem(unit, classOf)), budgetBytes }, effort);
  const near = units.map((unit): Item => {
    const name = unitName(unit);
    return { name, options: nearOptions(unit, byClass.types.get(name)) };
  });
  const refined = allocate({ items: near, budgetBytes }, effort);
  const { types, bytes, loss, lambda } = refined.loss <= byClass.loss ? refined : byClass;
  const lowerBound = Math.min(loss, boundLoss(problem));
  return {
    types: spreadTypes(units, types),
    bytes,
    loss,
    lowerBound,
    gap: loss === 0 ? 0 : (loss - lowerBound) / loss,
    lambda,
  };
}

const unitName = ({ members }: Unit): string => members[0] as string;

function classItem(unit: Unit, classOf: (name: string) => string): Item {
  const name = unitName(unit);
  if (unit.members.length > 1) return { name, options: unit.offered };
  const types = unit.offered.map(({ type }) => type).sort(compareNames);
  return { name, options: unit.offered, group: `${classOf(name)}: ${types.join(" ")}` };
}

/** The option of the class's type, and the unit's next smaller and next larger efficient options. */
function nearOptions({ offered, options }: Unit, type: Option["type"] | undefined): Option[] {
  const own = offered.find((option) => option.type === type) as Option;
  const smaller = options.findLast((option) => option.type !== type && option.bytes <= own.bytes);
  const larger = options.find((option) => option.bytes > own.bytes);
  return [smaller, own, larger].filter((option) => option !== undefined);
}

function spreadTypes(units: readonly Unit[], types: Assignment["types"]): Assignment["types"] {
  const chosen = units.flatMap((unit) => {
    const type = types.get(unitName(unit)) as Option["type"];
    return unit.members.map((name) => [name, type] as const);
  });
  return new Map(chosen);
}
