/** Two plans of one model → what changed, per tensor and per class. */

import type { TensorType } from "../ggml/tensor-types.ts";
import { present } from "../present.ts";
import { lossOf } from "./costing.ts";
import type { Plan, PlanTensor } from "./plan.ts";

export interface TensorChange {
  readonly name: string;
  readonly class: string;
  readonly layer?: number;
  readonly from: TensorType;
  readonly to: TensorType;
  readonly bytesDelta: number;
  /** Absent where the plans' losses are not comparable or unknown. */
  readonly lossDelta?: number;
}

export interface ClassChange {
  readonly class: string;
  readonly changed: number;
  readonly tensors: number;
  readonly bytesDelta: number;
  readonly lossDelta?: number;
}

export interface PlanDiff {
  /** Whether both are plans of the same file header. */
  readonly sameModel: boolean;
  /** Whether losses have the same unit, sensitivity and importance matrix. */
  readonly comparable: boolean;
  readonly before: Plan["predicted"];
  readonly after: Plan["predicted"];
  readonly changes: readonly TensorChange[];
  readonly classes: readonly ClassChange[];
  readonly onlyBefore: readonly string[];
  readonly onlyAfter: readonly string[];
}

/** Compare two plans, tensor by tensor, in the order of the first. */
export function diffPlans(before: Plan, after: Plan): PlanDiff {
  const comparable =
    before.lossUnit === after.lossUnit &&
    before.sensitivity.mode === after.sensitivity.mode &&
    before.sensitivity.version === after.sensitivity.version &&
    before.imatrix?.sha256 === after.imatrix?.sha256;
  const others = new Map(after.tensors.map((tensor) => [tensor.name, tensor]));
  const names = new Set(before.tensors.map(({ name }) => name));
  const changes = before.tensors.flatMap((tensor) => {
    const other = others.get(tensor.name);
    return other && other.type !== tensor.type ? [changeOf(tensor, other, comparable)] : [];
  });
  return {
    sameModel: before.source.headerHash === after.source.headerHash,
    comparable,
    before: before.predicted,
    after: after.predicted,
    changes,
    classes: classChanges(changes, before.tensors),
    onlyBefore: before.tensors.filter(({ name }) => !others.has(name)).map(({ name }) => name),
    onlyAfter: after.tensors.filter(({ name }) => !names.has(name)).map(({ name }) => name),
  };
}

function changeOf(from: PlanTensor, to: PlanTensor, comparable: boolean): TensorChange {
  const [lossFrom, lossTo] = [lossOf(from), lossOf(to)];
  return {
    name: from.name,
    class: from.class,
    ...present({ layer: from.layer }),
    from: from.type,
    to: to.type,
    bytesDelta: to.bytes - from.bytes,
    ...(comparable && lossFrom !== undefined && lossTo !== undefined ? { lossDelta: lossTo - lossFrom } : {}),
  };
}

function classChanges(changes: readonly TensorChange[], tensors: readonly PlanTensor[]): ClassChange[] {
  const names = [...new Set(changes.map((change) => change.class))];
  return names.map((name) => {
    const members = changes.filter((change) => change.class === name);
    const losses = members.map(({ lossDelta }) => lossDelta);
    const known = losses.every((loss) => loss !== undefined);
    return {
      class: name,
      changed: members.length,
      tensors: tensors.filter((tensor) => tensor.class === name).length,
      bytesDelta: members.reduce((sum, { bytesDelta }) => sum + bytesDelta, 0),
      ...(known ? { lossDelta: losses.reduce((sum, loss) => sum + loss, 0) } : {}),
    };
  });
}
