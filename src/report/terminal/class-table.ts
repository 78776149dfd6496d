/** One line per tensor class: how many tensors, their types, their bytes and, where it is known, predicted loss. */
import type { TensorType } from "../../ggml/tensor-types.ts";
import { formatInteger } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";
import { type Column, formatTable } from "./table.ts";
import { TERMINAL_WIDTH, wrapWords } from "./wrap-words.ts";

/** A tensor as the table counts it. */
export interface ClassMember {
  readonly class: string;
  readonly type: TensorType;
  readonly bytes: number;
  /** Whether llama-quantize would quantize it. */
  readonly isPlanned: boolean;
  readonly lossShare?: number | undefined;
}

/** Columns for all but the list of types: the other five and their gaps. */
const OTHERS_WIDTH = 58;
/** Characters of a class name before it is wrapped away from the numbers. */
const CLASS_WIDTH = 20;

const COLUMNS: readonly Column[] = [
  { header: "class" },
  { header: "n", align: "right" },
  { header: "types" },
  { header: "bytes", align: "right" },
  { header: "bytes %", align: "right", drop: 1 },
];

/** Render the classes in the order of the tensors, then what is not quantized, then all. */
export function classTable(tensors: readonly ClassMember[], { loss = false, width = TERMINAL_WIDTH } = {}): string {
  const total = Math.max(1, bytesOf(tensors));
  const row = (label: string, members: readonly ClassMember[], types: string) => [
    ...[label, formatInteger(members.length), types, formatInteger(bytesOf(members))],
    (100 * (bytesOf(members) / total)).toFixed(1),
    ...(loss ? [lossPercent(members)] : []),
  ];
  const planned = tensors.filter(({ isPlanned }) => isPlanned);
  const rows = [...new Set(planned.map((tensor) => tensor.class))].map((name) => {
    const members = planned.filter((tensor) => tensor.class === name);
    return row(wrapName(name), members, typeCounts(members, width - OTHERS_WIDTH));
  });
  const left = tensors.filter(({ isPlanned }) => !isPlanned);
  if (left.length > 0) rows.push(row("(not quantized)", left, typeCounts(left, width - OTHERS_WIDTH)));
  rows.push(row("total", tensors, ""));
  return formatTable([...COLUMNS, ...(loss ? [{ header: "loss %", align: "right" } as const] : [])], rows, width);
}

function bytesOf(members: readonly ClassMember[]): number {
  return members.reduce((sum, { bytes }) => sum + bytes, 0);
}

function lossPercent(members: readonly ClassMember[]): string {
  const shares = members.flatMap(({ lossShare }) => lossShare ?? []);
  return shares.length === 0 ? "" : (100 * shares.reduce((sum, share) => sum + share, 0)).toFixed(1);
}

/** `6xQ4_K 2xQ5_K`, most used first; of a single tensor the type alone. */
function typeCounts(members: readonly ClassMember[], width: number): string {
  const counts = new Map<string, number>();
  for (const { type } of members) counts.set(type, (counts.get(type) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  return wrapWords(sorted.map(([type, n]) => (members.length === 1 ? type : `${n}x${type}`)).join(" "), width);
}

function wrapName(name: string): string {
  const clean = printable(name);
  return clean.length <= CLASS_WIDTH ? clean : `${clean.slice(0, CLASS_WIDTH - 3)}...`;
}
