/** Findings about tensors that quantizing treats unlike the rest: rows that K-quants don't fit, weights left alone. */

import { formatCount } from "../bytes/source.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { fitsRows } from "../ggml/fallback.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { stockTypes } from "../ggml/stock-mix.ts";
import { tensorClass } from "../ggml/tensor-class.ts";
import { bitsPerWeight, TENSOR_TYPES, type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import type { Model, TensorInfo } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";
import { typesUnderPreset } from "./preset-types.ts";

/** The preset whose size the findings are measured by. */
const MEASURING_PRESET = "Q4_K_M";
const SUPER_BLOCK = TENSOR_TYPES.Q4_K.blockElements;
/** Classes named in a message; more are summed up. */
const NAMED_CLASSES = 6;
/** Part of a Q4_K_M file from which weights that stay as they are deserve a line. */
const NOTABLE_SHARE = 0.01;

/** Find tensors whose rows force fallback types, and weights that no preset makes smaller. */
export function rowFindings(model: Model, facts: ModelFacts): Finding[] {
  const types = typesUnderPreset(model, facts, MEASURING_PRESET);
  if (types === undefined) return [];
  const sized = model.tensors.map((tensor) => {
    const type = types.get(tensor.name) ?? tensor.type;
    return { tensor, type, bytes: tensorBytes(type, tensor.shape) };
  });
  const total = sized.reduce((sum, { bytes }) => sum + bytes, 0);
  const eligible = sized.filter(({ tensor }) => ineligibleReason(tensor) === undefined);
  const fallen = eligible.filter(({ tensor }) => !fitsRows("Q4_K", tensor.shape[0] ?? 1));
  const left = sized.filter(({ tensor }) => ineligibleReason(tensor) !== undefined);
  const leftBytes = left.reduce((sum, { bytes }) => sum + bytes, 0);
  return [
    ...(fallen.length > 0 ? [fallbackFinding(model, facts, fallen, eligible.length, total)] : []),
    ...(leftBytes > NOTABLE_SHARE * total ? [leftFinding(left, leftBytes, total)] : []),
  ];
}

interface Sized {
  readonly tensor: TensorInfo;
  readonly type: TensorType;
  readonly bytes: number;
}

function fallbackFinding(
  model: Model,
  facts: ModelFacts,
  fallen: readonly Sized[],
  eligible: number,
  total: number,
): Finding {
  // the types the preset would choose if all rows fitted
  const whole = model.tensors.map(({ name, type, shape: [row = 1, ...outer] }) => ({
    name,
    type,
    shape: [Math.ceil(row / SUPER_BLOCK) * SUPER_BLOCK, ...outer],
  }));
  const wanted = stockTypes(facts, whole, MEASURING_PRESET);
  const extra = fallen.reduce((sum, { tensor, type, bytes }) => {
    const ideal = (tensor.elements * bitsPerWeight(wanted.get(tensor.name) ?? type)) / 8;
    return sum + bytes - ideal;
  }, 0);
  return {
    code: "row-size-fallback",
    severity: "info",
    message: `${fallen.length} of ${eligible} weights have rows that are no multiple of ${SUPER_BLOCK} (${classList(fallen.map(({ tensor }) => tensor))}): K-quants can't hold them, and the stand-ins cost ${formatCount(Math.round(extra))} bytes more in ${MEASURING_PRESET} (${percent(extra, total)})`,
    remedy: "nothing to repair: the planner chooses among the types that fit and counts their bytes",
  };
}

function leftFinding(left: readonly Sized[], leftBytes: number, total: number): Finding {
  return {
    code: "not-eligible",
    severity: "info",
    message: `${left.length} tensors keep their type in every preset (${classList(left.map(({ tensor }) => tensor))}): ${formatCount(leftBytes)} bytes, ${percent(leftBytes, total)} of ${MEASURING_PRESET}`,
    remedy: "nothing to repair: count with these bytes when you choose a budget",
  };
}

/** `ffn_down 24, attn_k 24`, the largest first. */
function classList(tensors: readonly TensorInfo[]): string {
  const classes = new Map<string, { count: number; bytes: number }>();
  for (const { name, bytes } of tensors) {
    const { class: tensor } = tensorClass(name);
    const sofar = classes.get(tensor) ?? { count: 0, bytes: 0 };
    classes.set(tensor, { count: sofar.count + 1, bytes: sofar.bytes + bytes });
  }
  const sorted = [...classes].sort(([, a], [, b]) => b.bytes - a.bytes);
  const named = sorted.slice(0, NAMED_CLASSES).map(([name, { count }]) => `${name} ${count}`);
  return sorted.length > NAMED_CLASSES
    ? `${named.join(", ")} and ${sorted.length - NAMED_CLASSES} classes more`
    : named.join(", ");
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
}
