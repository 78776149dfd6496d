/** A repair as text: what was or would be done, what was not and why. */

import { formatBytes } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";
import type { RepairPlan } from "../../repair/repair.ts";
import { fitLines, TERMINAL_WIDTH } from "./wrap-words.ts";

/** Render a repair; without `written` it was only planned. No final line break. */
export function renderRepair(
  { changes, refusals }: RepairPlan,
  path: string,
  written: { readonly path: string; readonly fileBytes: number; readonly sha256: string } | undefined,
  width = TERMINAL_WIDTH,
): string {
  const lines = [heading(changes.length, path, written)];
  lines.push(...changes.map((change) => item(change)));
  if (refusals.length > 0) lines.push("not done:", ...refusals.map(({ reason }) => item(reason)));
  if (written !== undefined) lines.push(`SHA-256 ${written.sha256}`, "llama.cpp loads it");
  return fitLines(lines.join("\n"), width);
}

function heading(
  changes: number,
  path: string,
  written: { readonly path: string; readonly fileBytes: number } | undefined,
): string {
  if (changes === 0) return `${printable(path)}: nothing to repair, and nothing written`;
  if (written === undefined) return `${printable(path)}: a repair would do this`;
  return `${printable(written.path)}: ${formatBytes(written.fileBytes)}, repaired`;
}

function item(text: string): string {
  return `  - ${printable(text)}`;
}
