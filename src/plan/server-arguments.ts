/** How llama-server (and llama-cli) run the file of a plan that was made for a GPU's memory. */
import { ggmlTypeName, type TensorType } from "../ggml/tensor-types.ts";
import { quoteWord } from "../shell-quote.ts";
import type { BudgetMemory } from "./budget-memory.ts";

/** More layers than any model has: all of them on the GPU. */
const ALL_LAYERS = "999";

/** The flags, in llama.cpp's words; `-ot exps=CPU` is what --cpu-moe stands for. */
export function serverArguments({ context, sequences, kvTypes, experts, projectorBytes }: BudgetMemory): string[] {
  return [
    ...["-ngl", ALL_LAYERS, "-c", String(context)],
    ...cache("-ctk", kvTypes.k),
    ...cache("-ctv", kvTypes.v),
    ...["-np", String(sequences)],
    ...(projectorBytes === undefined ? [] : ["--mmproj", "MMPROJ.gguf"]),
    ...(experts === undefined ? [] : experts.allLayers ? ["-ot", "exps=CPU"] : ["--n-cpu-moe", String(experts.layers)]),
  ];
}

/** The command. */
export function serverCommand(memory: BudgetMemory, file: string): string {
  return ["llama-server", "-m", file, ...serverArguments(memory)].map(quoteWord).join(" ");
}

function cache(flag: string, type: TensorType): string[] {
  return type === "F16" ? [] : [flag, ggmlTypeName(type)];
}
