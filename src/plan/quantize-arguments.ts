/** The llama-quantize flags of a plan besides the overrides; recipes and docs must agree on them. */

import { downloadCommand, isRemote, localName } from "../bytes/remote-name.ts";
import { OUTPUT_ALIGNMENT_BYTES } from "../ggml/file-bytes.ts";
import { FILE_TYPES } from "../ggml/file-types.ts";
import { isQuantizedType } from "../ggml/tensor-types.ts";
import { pathArgument, quoteSh } from "../shell-quote.ts";
import type { Plan } from "./plan.ts";
import { printable } from "./printable.ts";
import { plannedName } from "./published-name.ts";
import { serverCommand } from "./server-arguments.ts";

/** llama-quantize keeps this many bytes of the strings it writes as quantize.imatrix.* (kv_override, 128 with NUL). */
const KV_STRING_BYTES = 127;

/** A flag of ours and its value, which may come from a file and needs quoting. */
export type Flag = readonly [flag: string, value?: string];

/** Flags that go before the positionals, in order. */
export function quantizeFlags(plan: Plan): Flag[] {
  const flags: Flag[] = [];
  if (requantizes(plan)) flags.push(["--allow-requantize"]);
  if (plan.imatrix) flags.push(["--imatrix", imatrixArgument(plan.imatrix)]);
  if (plan.facts.alignment !== OUTPUT_ALIGNMENT_BYTES) {
    flags.push(["--override-kv", `general.alignment=int:${OUTPUT_ALIGNMENT_BYTES}`]);
  }
  return flags;
}

/** The flags as words of POSIX sh, one flag with its value per entry. */
export function quantizeFlagsSh(plan: Plan): string[] {
  return quantizeFlags(plan).map(([flag, value]) => (value === undefined ? flag : `${flag} ${quoteSh(value)}`));
}

/** Whether a tensor of the source is quantized already and gets another type. */
export function requantizes(plan: Pick<Plan, "tensors">): boolean {
  return plan.tensors.some(({ sourceType, type }) => isQuantizedType(sourceType) && sourceType !== type);
}

/** The argument is written into the file: it must be the plan's string, or its bytes would be wrong. */
function imatrixArgument(imatrix: NonNullable<Plan["imatrix"]>): string {
  const truncated = new TextEncoder().encode(imatrix.file).length >= KV_STRING_BYTES;
  return truncated ? imatrix.path : imatrix.file;
}

/** The source as a recipe names it: a remote one by the file that its download makes. */
export function sourceArgument({ source }: Pick<Plan, "source">): string {
  return pathArgument(localName(source.path));
}

/** How to get a source that is not on this machine, as a line for a comment; undefined for others. */
export function downloadNote({ source }: Pick<Plan, "source">): string | undefined {
  return isRemote(source.path) ? printable(`first: ${downloadCommand(source.path)}`) : undefined;
}

/** Where a recipe writes by default: in the folder it is run in, under the name that the file is published by. */
export function defaultOutput(plan: Plan): string {
  return plannedName(plan).name;
}

/** How the file runs, where the plan was made for a GPU's memory. */
export function servingNote(plan: Plan): string | undefined {
  const { memory } = plan.budget;
  return memory && printable(`what it makes runs with: ${serverCommand(memory, defaultOutput(plan))}`);
}

/** The one known trap of old builds, or undefined where the plan can't hit it. */
export function versionNote(plan: Plan): string | undefined {
  const { defaultType } = FILE_TYPES[plan.baseFileType];
  const hit = plan.tensors.some(({ type, reason }) => reason !== "ineligible" && type === defaultType);
  if (!hit) return undefined;
  return `llama.cpp builds b8266 to b8998 ignore an override equal to the base type (${defaultType} here): use a newer one`;
}
