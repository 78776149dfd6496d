/** Pins as constraints of the plan: on one tensor, or on every tensor of a class. */
import { compilePattern } from "../../allocate/compile-pattern.ts";
import type { Constraint } from "../../allocate/problem.ts";
import type { TensorType } from "../../ggml/tensor-types.ts";
import { exactName } from "../../plan/exact-name.ts";
import type { Plan } from "../../plan/plan.ts";

/** Pin a tensor, or its whole class. A new pin takes the place of one on the same tensors, and wins over others. */
export function addPin(
  constraints: readonly Constraint[],
  plan: Pick<Plan, "tensors">,
  name: string,
  type: TensorType,
  wide: boolean,
): Constraint[] {
  const pattern = wide ? classPattern(plan, name) : exactName(name);
  const others = constraints.filter((constraint) => constraint.kind !== "pin" || constraint.pattern !== pattern);
  return [...others, { kind: "pin", pattern, type }];
}

/** Names of the tensors that pins of the user hold. */
export function pinnedNames({ tensors }: Pick<Plan, "tensors">): Set<string> {
  return new Set(tensors.filter(({ reason }) => reason === "pin").map(({ name }) => name));
}

/** A pattern that matches the eligible tensors of this tensor's class and no others. */
function classPattern({ tensors }: Pick<Plan, "tensors">, name: string): string {
  const eligible = tensors.filter(({ reason }) => reason !== "ineligible");
  const own = eligible.find((tensor) => tensor.name === name)?.class;
  const members = eligible.filter((tensor) => tensor.class === own).map((tensor) => tensor.name);
  const short = exactName(name).replace(/^\^blk\\\.\d+\\\./, "^blk\\.\\d+\\.");
  const pattern = compilePattern(short);
  const matched = eligible.filter((tensor) => pattern.test(tensor.name));
  const same = matched.length === members.length && matched.every((tensor) => tensor.class === own);
  return same ? short : members.map(exactName).join("|");
}
