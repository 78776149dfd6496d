/**
 * Items → units, the things the solver really chooses for: a single tensor, or the tensors of one group taken together.
 * A group offers the types all its members offer, with bytes and losses summed. Units are in order of their names, so
 * nothing after this depends on the order of the input.
 */
import { InfeasibleError, UsageError } from "../errors.ts";
import type { Item, Option } from "./problem.ts";
import { sumLosses } from "./sum-losses.ts";

export interface Unit {
  /** Names of the tensors, in order. */
  readonly members: readonly string[];
  /** All options, as the members offer them in common. */
  readonly offered: readonly Option[];
  /** Options no other option beats: bytes rise and losses fall strictly along the list. */
  readonly options: readonly Option[];
}

/** Compare by code unit, the same on every machine (unlike a locale's order). */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Order options by bytes, then loss, then type name, and drop those with no less loss than a smaller one. */
export function efficientOptions(options: readonly Option[]): Option[] {
  const ordered = [...options].sort((a, b) => a.bytes - b.bytes || a.loss - b.loss || compareNames(a.type, b.type));
  const efficient: Option[] = [];
  for (const option of ordered) {
    const last = efficient.at(-1);
    if (last === undefined || option.loss < last.loss) efficient.push(option);
  }
  return efficient;
}

/** Merge groups and drop dominated options. Throws InfeasibleError when the members of a group share no type. */
export function formUnits(items: readonly Item[]): Unit[] {
  const names = new Set<string>();
  const groups = new Map<string, Item[]>();
  const sets: { group?: string; members: Item[] }[] = [];
  for (const item of items) {
    checkItem(item, names);
    if (item.group === undefined) {
      sets.push({ members: [item] });
      continue;
    }
    const members = groups.get(item.group);
    if (members) members.push(item);
    else {
      const started = [item];
      groups.set(item.group, started);
      sets.push({ group: item.group, members: started });
    }
  }
  const units = sets.map(({ group, members }) => formUnit(members, group));
  return units.sort((a, b) => compareNames(a.members[0] ?? "", b.members[0] ?? ""));
}

function formUnit(members: readonly Item[], group: string | undefined): Unit {
  const offered = commonOptions(members);
  if (offered.length === 0) {
    const types = members.map((item) => `  ${item.name}: ${item.options.map((option) => option.type).join(", ")}`);
    throw new InfeasibleError(
      `the tensors of group "${group}" must take one type, but no type is offered by all of them:\n${types.join("\n")}\n` +
        "loosen the pins, floors and bans on them, or don't tie them",
    );
  }
  return {
    members: members.map((item) => item.name).sort(compareNames),
    offered,
    options: efficientOptions(offered),
  };
}

function commonOptions(members: readonly Item[]): readonly Option[] {
  const [first, ...others] = members;
  if (first === undefined) return [];
  if (others.length === 0) return first.options;
  const common: Option[] = [];
  for (const { type } of first.options) {
    const choices = members.map((item) => item.options.find((option) => option.type === type));
    if (!choices.every((option) => option !== undefined)) continue;
    const bytes = choices.reduce((sum, option) => sum + option.bytes, 0);
    common.push({ type, bytes, loss: sumLosses(choices.map((option) => option.loss)) });
  }
  return common;
}

function checkItem(item: Item, names: Set<string>): void {
  if (names.has(item.name))
    throw new UsageError(`allocate: tensor ${item.name} is listed twice; list each tensor once`);
  names.add(item.name);
  if (item.options.length === 0) {
    throw new UsageError(`allocate: tensor ${item.name} has no option; give each tensor at least one type`);
  }
  for (const { type, bytes, loss } of item.options) {
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new UsageError(`allocate: ${item.name} as ${type} needs whole bytes of at least 0, got ${bytes}`);
    }
    if (!Number.isFinite(loss) || loss < 0) {
      throw new UsageError(`allocate: ${item.name} as ${type} needs a finite loss of at least 0, got ${loss}`);
    }
  }
}
