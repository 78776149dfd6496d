/** What the memory of a GPU goes to, where a plan was made for one. 80 columns. */
import { formatInteger, formatSizeAs } from "../../numbers.ts";
import { weightsInRam, weightsOnGpu } from "../../plan/budget-memory.ts";
import type { Plan } from "../../plan/plan.ts";
import { printable } from "../../plan/printable.ts";
import { serverCommand } from "../../plan/server-arguments.ts";
import { formatTable } from "./table.ts";
import { wrapWords } from "./wrap-words.ts";

/** Render it, and how `file` runs where one is named; undefined for a plan whose budget was not given as memory. No final line break. */
export function memoryTable({ budget, tensors }: Pick<Plan, "budget" | "tensors">, file?: string): string | undefined {
  const { memory } = budget;
  if (memory === undefined) return undefined;
  const { vramBytes, kvBytes, stateBytes, computeBytes, projectorBytes, marginBytes, experts } = memory;
  const weights = weightsOnGpu(tensors, memory);
  const blocks = [
    partsTable(budget.text, experts === undefined ? "MEMORY" : "GPU", vramBytes, [
      ["weights", weights, elsewhere(tensors, weights, budget.text)],
      ["keys and values", kvBytes === 0 ? undefined : kvBytes, cacheWords(memory)],
      ["states", stateBytes === 0 ? undefined : stateBytes, "of recurrent layers"],
      ["computing", computeBytes, "estimated"],
      ["copy of experts", experts?.stagingBytes, "one tensor at a time, for long prompts"],
      ["projector", projectorBytes, "weights, and what it computes in, estimated"],
      ["margin", marginBytes, "for the driver"],
    ]),
  ];
  if (experts !== undefined) {
    const { ramBytes, embeddingBytes, layers, allLayers } = experts;
    blocks.push(
      partsTable(budget.text, "RAM", ramBytes, [
        [
          "weights",
          weightsInRam(tensors, memory),
          `experts of ${allLayers ? "all layers" : layers === 1 ? "the first layer" : `the first ${layers} layers`}`,
        ],
        ["embeddings", embeddingBytes === 0 ? undefined : embeddingBytes, "which the GPU has too"],
        ["margin", experts.marginBytes, "for the program, and what it computes in"],
      ]),
    );
  }
  if (file !== undefined)
    blocks.push(`to run it: ${continued(wrapWords(printable(serverCommand(memory, file)), LINE - 2))}`);
  return blocks.join("\n\n");
}

const LINE = 66;

/** A command over several lines, as a shell takes it. */
function continued(command: string): string {
  return command.replaceAll("\n", " \\\n  ");
}

type Part = readonly [name: string, bytes: number | undefined, words: string];

/** In the unit of the memory that was typed. */
function partsTable(typed: string, name: string, bytes: number, parts: readonly Part[]): string {
  const used = parts.reduce((sum, [, taken = 0]) => sum + taken, 0);
  const rows = [
    ...parts.flatMap(([what, taken, words]) =>
      taken === undefined ? [] : [[what, formatSizeAs(typed, taken), words]],
    ),
    [used > bytes ? "too much" : "free", formatSizeAs(typed, Math.abs(bytes - used)), ""],
  ];
  return formatTable(
    [{ header: name.padEnd(NAME) }, { header: formatSizeAs(typed, bytes), align: "right" }, { header: "" }],
    rows,
  );
}

/** Both tables are as wide. */
const NAME = "keys and values".length;

function cacheWords({ context, sequences, kvTypes: { k, v } }: NonNullable<Plan["budget"]["memory"]>): string {
  const types = k === v ? k : `keys ${k}, values ${v}`;
  const shared = sequences === 1 ? "" : ` for ${sequences} sequences`;
  return `${formatInteger(context)} tokens${shared}, ${types}`;
}

/** Bytes of the file that are not on the GPU. */
function elsewhere(tensors: Plan["tensors"], weights: number, typed: string): string {
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0) - weights;
  return bytes > 0 ? `and ${formatSizeAs(typed, bytes)} that stay off the GPU` : "";
}
