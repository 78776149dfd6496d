/**
 * Candidates + constraints → items: the options that pins, floors and bans leave, and the groups that ties make.
 *
 * Pin: exactly this type; of several pins on a tensor the last wins. Floor: at least the bits per weight of the type;
 * the highest wins. Ban: without the type; bans add up. Tie: all tensors that match take one type; ties that share a
 * tensor are one tie. A user's pin overrides what PRISM demands by itself (`builtIn`), and so do bans that a floor of
 * PRISM's would contradict; what the user demands may not contradict itself.
 */

import { UsageError } from "../errors.ts";
import { bitsPerWeight, type TensorType } from "../ggml/tensor-types.ts";
import { present } from "../present.ts";
import { openWork } from "./compile-pattern.ts";
import { describeConstraint, matchNames } from "./patterns.ts";
import type { Constraint, Item, Option } from "./problem.ts";

export interface ConstraintReason {
  readonly kind: "pin" | "floor" | "tied";
  /** The constraint as the user would write it. */
  readonly note: string;
}

export interface Constrained {
  readonly items: Item[];
  /** Only tensors whose options a pin or a floor changed, and tied ones; pin before floor before tied. */
  readonly reasons: ReadonlyMap<string, ConstraintReason>;
}

export interface CandidateItem {
  readonly name: string;
  readonly options: readonly Option[];
}

/**
 * Builds the option of a type that is not among a tensor's candidates, for a constraint of this kind; undefined when the
 * tensor can't take it.
 */
export type OptionFor = (name: string, type: TensorType, kind: "pin" | "floor") => Option | undefined;

/**
 * Filter the options of every candidate and group tied ones. `optionFor` supplies a pinned type, or a floor above all
 * candidates, that is not among the candidates.
 * Throws UsageError for an invalid pattern, one that matches nothing, and constraints that contradict each other.
 */
export function applyConstraints(
  candidates: readonly CandidateItem[],
  constraints: readonly Constraint[],
  optionFor: OptionFor = () => undefined,
): Constrained {
  const names = candidates.map(({ name }) => name);
  const work = openWork();
  const matches = constraints.map((constraint) => ({ constraint, matched: matchNames(constraint, names, work) }));
  const tieOf = joinTies(matches);
  const reasons = new Map<string, ConstraintReason>();
  const items = candidates.map((candidate): Item => {
    const { name } = candidate;
    const own = matches.filter(({ matched }) => matched.has(name)).map(({ constraint }) => constraint);
    const { options, reason } = constrain(candidate, own, optionFor);
    const group = tieOf.get(name);
    const because = reason ?? (group === undefined ? undefined : { kind: "tied" as const, note: `tie ${group}` });
    if (because) reasons.set(name, because);
    return { name, options, ...present({ group }) };
  });
  checkTies(items);
  return { items, reasons };
}

function constrain(
  { name, options }: CandidateItem,
  own: readonly Constraint[],
  optionFor: OptionFor,
): { options: readonly Option[]; reason?: ConstraintReason } {
  const pin = own.findLast((constraint) => constraint.kind === "pin" && byUser(constraint));
  const binding = pin ? own.filter(byUser) : own;
  const pinned = pin ?? binding.findLast(({ kind }) => kind === "pin");
  const bans = binding.filter(({ kind }) => kind === "ban");
  const floor = highestFloor(binding);
  if (pinned) return pinTo(name, options, pinned, floor, bans, optionFor);

  const allowed = options.filter(({ type }) => !bans.some((ban) => ban.type === type));
  if (allowed.length === 0) throw contradiction(name, bans, "leave no type");
  if (floor === undefined) return { options: allowed };
  const floorBits = bitsPerWeight(typeOf(floor));
  const reason = { kind: "floor", note: describeConstraint(floor) } as const;
  const above = allowed.filter(({ type }) => bitsPerWeight(type) >= floorBits);
  if (above.length === allowed.length) return { options: allowed };
  if (above.length > 0) return { options: above, reason };
  const supplied = bans.some((ban) => ban.type === floor.type) ? undefined : optionFor(name, typeOf(floor), "floor");
  if (supplied === undefined && floor.builtIn === true) {
    return constrain({ name, options }, own.filter(byUser), optionFor);
  }
  if (supplied === undefined) throw contradiction(name, [floor, ...bans], "leave no type");
  return { options: [supplied], reason };
}

const byUser = ({ builtIn }: Constraint): boolean => builtIn !== true;

function pinTo(
  name: string,
  options: readonly Option[],
  pin: Constraint,
  floor: Constraint | undefined,
  bans: readonly Constraint[],
  optionFor: OptionFor,
): { options: readonly Option[]; reason: ConstraintReason } {
  const type = typeOf(pin);
  if (floor && bitsPerWeight(type) < bitsPerWeight(typeOf(floor))) {
    throw contradiction(name, [pin, floor], "can't both hold: the pin is below the floor");
  }
  const ban = bans.find((banned) => banned.type === type);
  if (ban) throw contradiction(name, [pin, ban], "can't both hold");
  const option = options.find((offered) => offered.type === type) ?? optionFor(name, type, "pin");
  if (option === undefined) {
    throw new UsageError(
      `${describeConstraint(pin)}: ${name} can't be stored as ${type} here; it can be ` +
        `${options.map((offered) => offered.type).join(", ")}`,
    );
  }
  return { options: [option], reason: { kind: "pin", note: describeConstraint(pin) } };
}

function highestFloor(constraints: readonly Constraint[]): Constraint | undefined {
  let highest: Constraint | undefined;
  for (const constraint of constraints) {
    if (constraint.kind !== "floor") continue;
    if (highest === undefined || bitsPerWeight(typeOf(constraint)) > bitsPerWeight(typeOf(highest))) {
      highest = constraint;
    }
  }
  return highest;
}

/** Group name per tied tensor: the patterns of all ties it is connected to. */
function joinTies(matches: readonly { constraint: Constraint; matched: Set<string> }[]): Map<string, string> {
  let ties: { patterns: string[]; names: Set<string> }[] = [];
  for (const { constraint, matched } of matches) {
    if (constraint.kind !== "tie" || matched.size === 0) continue;
    const overlapping = ties.filter(({ names }) => [...matched].some((name) => names.has(name)));
    const joined = {
      patterns: [...overlapping.flatMap(({ patterns }) => patterns), constraint.pattern],
      names: new Set([...overlapping.flatMap(({ names }) => [...names]), ...matched]),
    };
    ties = [...ties.filter((tie) => !overlapping.includes(tie)), joined];
  }
  return new Map(ties.flatMap(({ patterns, names }) => [...names].map((name) => [name, patterns.join(", ")] as const)));
}

function checkTies(items: readonly Item[]): void {
  const common = new Map<string, { types: Set<TensorType>; first: string }>();
  for (const { name, group, options } of items) {
    if (group === undefined) continue;
    const offered = new Set(options.map(({ type }) => type));
    const sofar = common.get(group);
    if (sofar === undefined) {
      common.set(group, { types: offered, first: name });
      continue;
    }
    const types = new Set([...sofar.types].filter((type) => offered.has(type)));
    if (types.size === 0) {
      throw new UsageError(
        `tie ${group}: ${name} can only be ${[...offered].join(", ")}, but ${sofar.first} and those after it only ` +
          `${[...sofar.types].join(", ")}; loosen the other constraints on them, or tie fewer tensors`,
      );
    }
    common.set(group, { types, first: sofar.first });
  }
}

function typeOf(constraint: Constraint): TensorType {
  if (constraint.type !== undefined) return constraint.type;
  throw new UsageError(`${describeConstraint(constraint)}: a ${constraint.kind} needs a type`);
}

function contradiction(name: string, constraints: readonly Constraint[], what: string): UsageError {
  const named = constraints.map((constraint) => `"${describeConstraint(constraint)}"`).join(" and ");
  return new UsageError(`${name}: ${named} ${what}; drop or change one of them`);
}
