/** Two memories, two knapsacks: what is on the GPU and what is in RAM are solved each within its own limit. */
import { openWork } from "../allocate/compile-pattern.ts";
import { matchNames } from "../allocate/patterns.ts";
import type { Assignment, Constraint } from "../allocate/problem.ts";
import { InfeasibleError } from "../errors.ts";
import { memoryPools, type Pool } from "./budget-memory.ts";
import type { TensorChoice } from "./costing.ts";
import { type Solution, type SolveInput, solve } from "./solve.ts";

/** Undefined for a budget of one limit. Throws InfeasibleError, which names the memory that is too small. */
export function solvePools(input: SolveInput): Solution | undefined {
  const pools = memoryPools(input.budget.memory, input.tensors)?.filter(({ tensors }) => tensors.length > 0);
  if (pools === undefined) return undefined;
  const solutions = pools.map((pool, index) =>
    solvePool({ ...input, constraints: concerned(input.constraints, pools, index) }, pool),
  );
  const merged = solutions.reduce((sum, { assignment }) => merge(sum, assignment), NOTHING);
  return {
    assignment: merged,
    constrained: {
      items: solutions.flatMap(({ constrained }) => constrained.items),
      reasons: new Map(solutions.flatMap(({ constrained }) => [...constrained.reasons])),
    },
  };
}

function solvePool(input: SolveInput, { option, tensors, limitBytes }: Pool<TensorChoice>): Solution {
  try {
    return solve({ ...input, tensors, headerBytes: 0, budget: { fileBytes: limitBytes } });
  } catch (error) {
    if (!(error instanceof InfeasibleError)) throw error;
    const where = option === "--vram" ? "on the GPU" : "in RAM";
    const bytes = Math.max(0, limitBytes).toLocaleString("en-US");
    throw new InfeasibleError(
      `${option} leaves ${bytes} bytes for the weights ${where}, and they fit in no types that are left to choose from: ` +
        `give more ${option}, loosen constraints, or give an imatrix, which allows smaller types`,
    );
  }
}

/** Constraints of tensors in this pool; what matches nowhere is left to the first, where it is an error. */
function concerned(
  constraints: readonly Constraint[],
  pools: readonly Pool<TensorChoice>[],
  index: number,
): readonly Constraint[] {
  const work = openWork();
  const names = pools.map(({ tensors }) => tensors.filter(({ eligible }) => eligible).map(({ name }) => name));
  const matches = (constraint: Constraint, pool: number) =>
    matchNames({ ...constraint, builtIn: true }, names[pool] ?? [], work).size > 0;
  return constraints.filter(
    (constraint) =>
      matches(constraint, index) || (index === 0 && pools.every((_, other) => !matches(constraint, other))),
  );
}

const NOTHING: Assignment = { types: new Map(), bytes: 0, loss: 0, lowerBound: 0, gap: 0, lambda: 0 };

function merge(a: Assignment, b: Assignment): Assignment {
  const loss = a.loss + b.loss;
  const lowerBound = a.lowerBound + b.lowerBound;
  return {
    types: new Map([...a.types, ...b.types]),
    bytes: a.bytes + b.bytes,
    loss,
    lowerBound,
    gap: loss === 0 ? 0 : (loss - lowerBound) / loss,
    lambda: Math.max(a.lambda, b.lambda),
  };
}
