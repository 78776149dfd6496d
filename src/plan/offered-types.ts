/**
 * Types that a user allows (`--types`): a plan chooses among these alone. A tensor whose rows none of them fits takes what
 * llama-quantize falls back to from one of them; PRISM's own floors ask for no more bits than the largest has; a pin is the
 * user's own word and may name any type. Pure.
 */
import { UsageError } from "../errors.ts";
import { fallbackType, fitsRows } from "../ggml/fallback.ts";
import {
  bitsPerWeight,
  isFloatType,
  isQuantizedType,
  parseTensorType,
  TENSOR_TYPE_NAMES,
  TENSOR_TYPES,
  type TensorType,
} from "../ggml/tensor-types.ts";
import type { TensorChoice } from "./costing.ts";
import type { BuiltIn } from "./guards.ts";
import { typeProblem } from "./legal-type.ts";

/** What may be allowed: everything that llama-quantize makes of weights, smallest first. */
const POSSIBLE = TENSOR_TYPE_NAMES.filter(
  (type) => TENSOR_TYPES[type].target && (isQuantizedType(type) || isFloatType(type)) && type !== "F64",
).sort((a, b) => bitsPerWeight(a) - bitsPerWeight(b));

/** Parse lists like "Q4_K,q6_k" to types without doubles, smallest first. Throws UsageError. */
export function parseTypes(texts: readonly string[]): TensorType[] {
  const names = texts.flatMap((text) => text.split(",")).map((name) => name.trim());
  const types = names.map((name) => {
    const type = parseTensorType(name);
    if (type !== undefined && POSSIBLE.includes(type)) return type;
    const preset = /_[SML]$/i.test(name) ? ", the type of a tensor and not a preset" : "";
    throw new UsageError(`--types "${name}": expected one or more of ${POSSIBLE.join(", ")}${preset}`);
  });
  return POSSIBLE.filter((type) => types.includes(type));
}

/** The tensors with the types that each may take. Throws UsageError where one can take none. */
export function offerTypes(
  tensors: readonly TensorChoice[],
  allowed: readonly TensorType[] | undefined,
): readonly TensorChoice[] {
  if (allowed === undefined) return tensors;
  return tensors.map((tensor) => (tensor.eligible ? { ...tensor, ...offerOf(tensor, allowed) } : tensor));
}

function offerOf(tensor: TensorChoice, allowed: readonly TensorType[]): Pick<TensorChoice, "offered" | "fallbackNote"> {
  const possible = (types: readonly TensorType[]) =>
    types.filter((type) => !typeProblem({ ...tensor, importance: tensor.importance === "used" }, type));
  const own = possible(allowed);
  if (own.length > 0) return { offered: measuredOf(tensor, own, allowed) };
  const row = tensor.shape[0] ?? 1;
  const [first] = allowed;
  if (first === undefined || allowed.some((type) => fitsRows(type, row))) {
    throw new UsageError(
      `--types ${allowed.join(",")}: ${tensor.name} can be stored in none of them without an importance matrix; ` +
        "allow another type, like Q4_K, or give an imatrix",
    );
  }
  const stands = possible([...new Set(allowed.map((type) => standIn(type, row)))]);
  const fallbackNote = `rows of ${row} elements fit none of --types: what llama-quantize falls back to`;
  return { offered: measuredOf(tensor, stands, allowed), fallbackNote };
}

/** The few types without a fallback (Q1_0, NVFP4) would end llama-quantize: floats stand in for them. */
function standIn(type: TensorType, row: number): TensorType {
  try {
    return fallbackType(type, row);
  } catch (error) {
    if (error instanceof UsageError) return "F16";
    throw error;
  }
}

function measuredOf(tensor: TensorChoice, types: readonly TensorType[], allowed: readonly TensorType[]): TensorType[] {
  const { options = {} } = tensor;
  const measured = types.filter((type) => options[type] !== undefined || isFloatType(type));
  if (measured.length > 0) return measured;
  throw new UsageError(
    `--types ${allowed.join(",")}: the analysis has no distortion of ${tensor.name} in ${types.join(", ")}; ` +
      "plan from the model, which is then analyzed in these types too",
  );
}

/** Floors as far as the allowed types reach, and in words which of them ask for more. */
export function floorsWithin(
  builtIns: readonly BuiltIn[],
  allowed: readonly TensorType[] | undefined,
): { readonly builtIns: readonly BuiltIn[]; readonly warnings: readonly string[] } {
  const largest = allowed?.at(-1);
  if (allowed === undefined || largest === undefined) return { builtIns, warnings: [] };
  const lowered: BuiltIn[] = [];
  const within = builtIns.map((builtIn) => {
    const { constraint } = builtIn;
    const { kind, type } = constraint;
    if (kind !== "floor" || type === undefined || bitsPerWeight(type) <= bitsPerWeight(largest)) return builtIn;
    lowered.push(builtIn);
    return { ...builtIn, constraint: { ...constraint, type: largest } };
  });
  const outside = builtIns.filter(
    ({ constraint: { kind, type } }) => kind === "pin" && type && !allowed.includes(type),
  );
  return {
    builtIns: within,
    warnings: [
      ...perGuard(lowered).map(
        ({ guard, constraint, others }) =>
          `${ALLOWED_ONLY} the ${guard} guard wants ${constraint.type} on ${constraint.pattern}${others}; ` +
          `${largest} is the largest of --types, and what it asks for instead`,
      ),
      ...perGuard(outside).map(
        ({ constraint, note, others }) =>
          `${ALLOWED_ONLY} ${constraint.pattern}${others} is ${constraint.type} all the same (${note}); pin it to have another type`,
      ),
    ],
  };
}

/** How warnings begin that only the making of a plan knows of. */
export const ALLOWED_ONLY = "types allowed:";

function perGuard(builtIns: readonly BuiltIn[]): (BuiltIn & { readonly others: string })[] {
  const guards = [...new Set(builtIns.map(({ guard }) => guard))];
  return guards.flatMap((guard) => {
    const [first, ...more] = builtIns.filter((builtIn) => builtIn.guard === guard);
    return first === undefined ? [] : [{ ...first, others: more.length === 0 ? "" : ` and ${more.length} more` }];
  });
}
