/**
 * Guards: constraints PRISM adds by itself where its own measure is blind. They are floors of the solver, named in the
 * reasons of a plan; a user's pin on the same tensor overrides them, each can be switched off, and where the budget
 * can't hold them they are given up one after another (`YIELDING`), with a warning.
 *
 * - `head`: the head is not below its type in the preset of the plan's size: its damage counts on every token.
 * - `noise`: no type that leaves less than 9 dB of signal over noise: there the loss no longer grows with D.
 * - `small`: classes with next to none of the weights keep Q8_0: that costs nothing, and hybrids hang on them.
 * - `mtp`: MTP blocks keep Q6_K: no evaluation sees their damage.
 * A rank head (`cls`) is always F16. That no type is worse than a smaller one is the solver's own rule (units.ts).
 */
import type { Constraint } from "../allocate/problem.ts";
import type { FileType } from "../ggml/file-types.ts";
import { isHead, tensorClass, tensorRole } from "../ggml/tensor-class.ts";
import { bitsPerWeight, type TensorType } from "../ggml/tensor-types.ts";
import { presetFileBytes, presetTypes, type SizeContext } from "./budget.ts";
import { distortionOf, type TensorChoice, typesOf } from "./costing.ts";
import { exactName } from "./exact-name.ts";

/** The guards that can be switched off, in the order they are given up. */
export const YIELDING = ["head", "noise", "small", "mtp"] as const;

export type Guard = (typeof YIELDING)[number];

/** Which guards are off; the others are on. */
export type GuardSwitches = Readonly<Partial<Record<Guard, boolean>>>;

export interface BuiltIn {
  readonly constraint: Constraint;
  readonly note: string;
  /** The guard it belongs to; "rank" is never given up. */
  readonly guard: Guard | "rank";
}

/** What MTP blocks are kept at: practice is Q5_K to Q8_0 (llama.cpp #23575), and no evaluation sees their damage. */
const MTP_FLOOR: TensorType = "Q6_K";

/**
 * D of 9 dB, 10^-0.9: beyond it single-tensor KLDs of measured models no longer follow D (Thireus' GGUF Tool Suite,
 * types of 1.75 bits and less).
 */
const NOISE_DISTORTION = 0.126;

/** Share of a model's weights below which a class counts as small; all small classes together take at most 1 %. */
const SMALL_CLASS_SHARE = 0.0025;
const SMALL_SHARE = 0.01;
const SMALL_FLOOR: TensorType = "Q8_0";

// the presets a head is compared with: those that need no imatrix
const PRESETS: readonly FileType[] = [
  ...(["Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "IQ4_XS", "Q4_K_S", "Q4_K_M"] as const),
  ...(["Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0"] as const),
];

/** All built-in constraints for a model and a limit on its file, without the guards that are switched off. */
export function builtInConstraints(context: SizeContext, limitBytes: number, switches: GuardSwitches): BuiltIn[] {
  const { facts, tensors } = context;
  const eligible = tensors.filter((tensor) => tensor.eligible);
  const builtIns: BuiltIn[] = [];
  for (const { name } of eligible) {
    const role = tensorRole(name, facts);
    if (role === "cls") {
      const note = "rank head: a few rows that every score goes through";
      builtIns.push({
        constraint: { kind: "pin", pattern: exactName(name), type: "F16", builtIn: true },
        note,
        guard: "rank",
      });
    } else if (role === "mtp") {
      builtIns.push(floor(exactName(name), MTP_FLOOR, "mtp", "MTP block: no evaluation can see its damage"));
    } else if (isHead(name, facts)) {
      const { preset, type } = presetHead(name, context, limitBytes);
      const note = `head: without a measurement not below ${type}, its type in ${preset} at these bytes`;
      builtIns.push(floor(exactName(name), type, "head", note));
    }
  }
  const inTrunk = eligible.filter(({ name }) => !["cls", "mtp"].includes(tensorRole(name, facts)));
  const all = [...builtIns, ...noiseFloors(inTrunk), ...smallFloors(context, inTrunk)];
  return all.filter(({ guard }) => guard === "rank" || switches[guard] !== false);
}

/** A floor for each tensor that has a type below 9 dB: its smallest type that is not. */
function noiseFloors(tensors: readonly TensorChoice[]): BuiltIn[] {
  const floors = new Map<string, TensorChoice[]>();
  for (const tensor of tensors) {
    const types = [...typesOf(tensor)].sort((a, b) => bitsPerWeight(a) - bitsPerWeight(b));
    const clean = types.find((type) => (distortionOf(tensor, type) ?? 0) <= NOISE_DISTORTION);
    if (clean === undefined || clean === types[0]) continue;
    const key = `${tensor.class}\n${clean}`;
    floors.set(key, [...(floors.get(key) ?? []), tensor]);
  }
  return [...floors].flatMap(([key, members]) => {
    const [name = "", type = ""] = key.split("\n");
    const note = `noise guard: ${name} has less than 9 dB of signal over noise below ${type}`;
    const whole = members.length === tensors.filter((tensor) => tensor.class === name).length;
    return [floor(classPattern(members, whole), type as TensorType, "noise", note)];
  });
}

/** A floor for the classes with the fewest weights. */
function smallFloors({ tensors }: SizeContext, eligible: readonly TensorChoice[]): BuiltIn[] {
  const elements = tensors.reduce((sum, tensor) => sum + tensor.elements, 0);
  const classes = new Map<string, TensorChoice[]>();
  for (const tensor of eligible) classes.set(tensor.class, [...(classes.get(tensor.class) ?? []), tensor]);
  const sized = [...classes].map(([name, members]) => ({
    name,
    members,
    share: members.reduce((sum, tensor) => sum + tensor.elements, 0) / elements,
  }));
  sized.sort((a, b) => a.share - b.share);
  let taken = 0;
  return sized.flatMap(({ name, members, share }) => {
    taken += share;
    if (share > SMALL_CLASS_SHARE || taken > SMALL_SHARE) return [];
    const note = `small guard: ${name} is ${(100 * share).toPrecision(2)} % of the weights`;
    return [floor(classPattern(members, true), SMALL_FLOOR, "small", note)];
  });
}

/** Matches exactly these tensors of a class; `whole`: all of it, in whatever layer. */
function classPattern(members: readonly TensorChoice[], whole: boolean): string {
  const [first] = members;
  if (members.length === 1 || first === undefined) return exactName(first?.name ?? "");
  const layers = members.map(({ name }) => tensorClass(name).layer);
  const [, before = "", after = ""] = /^(.*?\\\.)\d+(\\\..*)$/.exec(exactName(first.name)) ?? [];
  return `${before}${whole ? "\\d+" : `(?:${layers.join("|")})`}${after}`;
}

/** The head's type under the largest preset within the limit; under the smallest preset if none is. */
function presetHead(name: string, context: SizeContext, limitBytes: number): { preset: FileType; type: TensorType } {
  const sized = PRESETS.map((preset) => ({ preset, bytes: presetFileBytes(preset, context) }));
  sized.sort((a, b) => a.bytes - b.bytes);
  const preset = sized.findLast(({ bytes }) => bytes <= limitBytes)?.preset ?? sized[0]?.preset ?? "Q2_K";
  return { preset, type: presetTypes(preset, context).get(name) ?? "Q6_K" };
}

function floor(pattern: string, type: TensorType, guard: Guard, note: string): BuiltIn {
  return { constraint: { kind: "floor", pattern, type, builtIn: true }, note, guard };
}
