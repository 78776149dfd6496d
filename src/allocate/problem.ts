/**
 * The allocation problem, as plain data: a multiple-choice knapsack in bytes.
 * min Σ loss(item, option) s.t. Σ bytes(item, option) ≤ budgetBytes, exactly one option per item, items of one group
 * taking the same choice. Pure; runs in a browser too.
 */
import * as t from "../documents/fields.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { TENSOR_TYPE } from "../ggml/type-fields.ts";

export interface Option {
  readonly type: TensorType;
  /** Whole bytes this option adds to the file (padding included). */
  readonly bytes: number;
  /** s·D; finite, ≥ 0. */
  readonly loss: number;
}

export interface Item {
  readonly name: string;
  /** Already filtered by pins, floors and bans; at least one. */
  readonly options: readonly Option[];
  /** Items with the same group take the same type where all of them offer it (ties, class mode). */
  readonly group?: string;
}

export interface Problem {
  readonly items: readonly Item[];
  readonly budgetBytes: number;
}

export interface Assignment {
  /** Chosen type per item name. */
  readonly types: ReadonlyMap<string, TensorType>;
  readonly bytes: number;
  readonly loss: number;
  /** No assignment within the budget has less (Lagrangian / linear relaxation bound). */
  readonly lowerBound: number;
  /** (loss − lowerBound) / loss; 0 when loss is 0. */
  readonly gap: number;
  /** The multiplier at the end: loss saved per byte of budget. */
  readonly lambda: number;
}

export const CONSTRAINT = t.object(
  {
    kind: t.oneOf(["pin", "floor", "ban", "tie"]),
    pattern: t.text("Regular expression on the tensor name (searched, case-sensitive)."),
    type: t.optional(t.given(TENSOR_TYPE, "Absent for a tie.")),
    builtIn: t.optional(t.flag("Set by PRISM itself rather than by the user.")),
  },
  "What a user (or PRISM itself) demands of the tensors whose name matches.",
);
export interface Constraint extends t.Content<typeof CONSTRAINT> {}
