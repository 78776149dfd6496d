/** What the memory of a GPU goes to, where a plan was made for one. 80 columns. */
import { formatInteger, formatSize } from "../../numbers.ts";
import { weightsOnGpu } from "../../plan/budget-memory.ts";
import type { Plan } from "../../plan/plan.ts";
import { formatTable } from "./table.ts";

/** Render it; undefined for a plan whose budget was not given as memory. No final line break. */
export function memoryTable({ budget, tensors }: Pick<Plan, "budget" | "tensors">): string | undefined {
  const { memory } = budget;
  if (memory === undefined) return undefined;
  const { vramBytes, kvBytes, stateBytes, computeBytes, projectorBytes, marginBytes } = memory;
  const weights = weightsOnGpu(tensors, memory);
  const parts: [string, number | undefined, string][] = [
    ["weights", weights, elsewhere(tensors, weights)],
    ["keys and values", kvBytes === 0 ? undefined : kvBytes, cacheWords(memory)],
    ["states", stateBytes === 0 ? undefined : stateBytes, "of recurrent layers"],
    ["computing", computeBytes, "estimated"],
    ["projector", projectorBytes, "its weights"],
    ["margin", marginBytes, "for the driver, and what it computes in"],
  ];
  const used = parts.reduce((sum, [, bytes = 0]) => sum + bytes, 0);
  const rows = [
    ...parts.flatMap(([what, bytes, words]) => (bytes === undefined ? [] : [[what, formatSize(bytes), words]])),
    [used > vramBytes ? "too much" : "free", formatSize(Math.abs(vramBytes - used)), ""],
  ];
  return formatTable([{ header: "MEMORY" }, { header: formatSize(vramBytes), align: "right" }, { header: "" }], rows);
}

function cacheWords({ context, sequences, kvTypes: { k, v } }: NonNullable<Plan["budget"]["memory"]>): string {
  const types = k === v ? k : `keys ${k}, values ${v}`;
  const shared = sequences === 1 ? "" : ` for ${sequences} sequences`;
  return `${formatInteger(context)} tokens${shared}, ${types}`;
}

/** Bytes of the file that are not on the GPU. */
function elsewhere(tensors: Plan["tensors"], weights: number): string {
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0) - weights;
  return bytes > 0 ? `and ${formatSize(bytes)} that stay off the GPU` : "";
}
