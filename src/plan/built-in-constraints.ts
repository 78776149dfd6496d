/**
 * The constraints PRISM adds by itself where its own measure is blind: the head, rank heads and MTP blocks.
 * A user's pin on the same tensor overrides them (allocate/constraints.ts).
 */
import type { Constraint } from "../allocate/problem.ts";
import type { FileType } from "../ggml/file-types.ts";
import { isHead, tensorRole } from "../ggml/tensor-class.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { presetFileBytes, presetTypes, type SizeContext } from "./budget.ts";
import { exactName } from "./exact-name.ts";

export interface BuiltIn {
  readonly constraint: Constraint;
  readonly note: string;
  /** Given up first when the budget can't hold all of them. */
  readonly droppable: "head" | "mtp" | "never";
}

/** What MTP blocks are kept at: practice is Q5_K to Q8_0 (llama.cpp #23575), and no evaluation sees their damage. */
const MTP_FLOOR: TensorType = "Q6_K";

// the presets a head is compared with: those that need no imatrix
const PRESETS: readonly FileType[] = [
  ...(["Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "IQ4_XS", "Q4_K_S", "Q4_K_M"] as const),
  ...(["Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0"] as const),
];

/** All built-in constraints for a model and a limit on its file. */
export function builtInConstraints(
  context: SizeContext,
  limitBytes: number,
  options: { readonly headGuard: boolean },
): BuiltIn[] {
  const { facts, tensors } = context;
  const builtIns: BuiltIn[] = [];
  for (const { name } of tensors.filter(({ eligible }) => eligible)) {
    const role = tensorRole(name, facts);
    if (role === "cls") {
      builtIns.push(pin(name, "F16", "rank head: a few rows that every score goes through"));
    } else if (role === "mtp") {
      builtIns.push(floor(name, MTP_FLOOR, "mtp", "MTP block: no evaluation can see its damage"));
    } else if (options.headGuard && isHead(name, facts)) {
      const { preset, type } = presetHead(name, context, limitBytes);
      const note = `head: without a measurement not below ${type}, its type in ${preset} at these bytes`;
      builtIns.push(floor(name, type, "head", note));
    }
  }
  return builtIns;
}

/** The head's type under the largest preset within the limit; under the smallest preset if none is. */
function presetHead(name: string, context: SizeContext, limitBytes: number): { preset: FileType; type: TensorType } {
  const sized = PRESETS.map((preset) => ({ preset, bytes: presetFileBytes(preset, context) }));
  sized.sort((a, b) => a.bytes - b.bytes);
  const preset = sized.findLast(({ bytes }) => bytes <= limitBytes)?.preset ?? sized[0]?.preset ?? "Q2_K";
  return { preset, type: presetTypes(preset, context).get(name) ?? "Q6_K" };
}

function pin(name: string, type: TensorType, note: string): BuiltIn {
  return { constraint: { kind: "pin", pattern: exactName(name), type, builtIn: true }, note, droppable: "never" };
}

function floor(name: string, type: TensorType, droppable: BuiltIn["droppable"], note: string): BuiltIn {
  return { constraint: { kind: "floor", pattern: exactName(name), type, builtIn: true }, note, droppable };
}
