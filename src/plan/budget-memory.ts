/** What a budget that was given as a GPU's memory goes to, and what the weights of a plan take of it. */
import { TENSOR_NAME } from "../analyze/analysis.ts";
import * as t from "../documents/fields.ts";
import { beyondTraining } from "../footprint/context-size.ts";
import { inBuffer } from "../footprint/weight-places.ts";
import { OUTPUT_ALIGNMENT_BYTES } from "../ggml/file-bytes.ts";
import { TENSOR_TYPE } from "../ggml/type-fields.ts";

/** Tensors whose place is named; the largest public models have a few thousand. */
const MAX_TENSORS = 200_000;

const EXPERTS_IN_RAM = t.object(
  {
    ramBytes: t.bytes("The memory that was given."),
    marginBytes: t.bytes("For the program, and what it computes in."),
    embeddingBytes: t.bytes("Of input embeddings that are on the GPU too, as they are at most."),
    stagingBytes: t.bytes("Of the GPU: the copy of a tensor of experts by which long prompts are computed there."),
    layers: t.some("Experts of so many layers, from the first on, are in RAM (--n-cpu-moe)."),
    allLayers: t.flag("Whether these are all."),
  },
  "Where experts stay in the memory of the machine: tensors that are not on the GPU have a budget of their own.",
);

export const BUDGET_MEMORY = t.object(
  {
    vramBytes: t.bytes("The memory that was given."),
    context: t.some("Tokens of all sequences together, as llama-server counts them (-c)."),
    trainedContext: t.optional(t.some("Tokens of one sequence that the header says the model was trained on.")),
    sequences: t.some("Sequences at a time (-np); each has its part of the context."),
    kvTypes: t.object({ k: TENSOR_TYPE, v: TENSOR_TYPE }),
    kvBytes: t.bytes("Keys and values, as llama.cpp allocates them."),
    stateBytes: t.bytes("States of recurrent layers."),
    computeBytes: t.bytes("An estimate of what computing a batch takes."),
    projectorBytes: t.optional(t.bytes("The projector (mmproj): its weights, and an estimate of what it computes in.")),
    marginBytes: t.bytes("For the driver, and for how far the estimate is off."),
    experts: t.optional(EXPERTS_IN_RAM),
    notOnGpu: t.list(TENSOR_NAME, {
      maxItems: MAX_TENSORS,
      description:
        "Tensors that take none of the GPU's memory: input embeddings, experts in RAM, and layers that are not loaded.",
    }),
  },
  "Absent where the budget was not given as memory. What is left of it after all these is for the weights.",
);
export interface BudgetMemory extends t.Content<typeof BUDGET_MEMORY> {}

/** Bytes that are left for the weights; below 0 where the rest alone is too much. */
export function bytesForWeights(memory: Omit<BudgetMemory, "notOnGpu">): number {
  const { vramBytes, kvBytes, stateBytes, computeBytes, projectorBytes = 0, marginBytes, experts } = memory;
  const others = projectorBytes + marginBytes + (experts?.stagingBytes ?? 0);
  return vramBytes - kvBytes - stateBytes - computeBytes - others;
}

/** Bytes of RAM for what is not on the GPU. */
export function bytesInRam({
  ramBytes,
  marginBytes,
  embeddingBytes,
}: Pick<NonNullable<BudgetMemory["experts"]>, "ramBytes" | "marginBytes" | "embeddingBytes">): number {
  return ramBytes - marginBytes - embeddingBytes;
}

/** What a buffer aligns more than a file, at most, bytes a tensor. */
export const MOST_PADDING = inBuffer(1) - OUTPUT_ALIGNMENT_BYTES;

export interface Pool<Tensor> {
  /** The option that says how much there is of it. */
  readonly option: "--vram" | "--ram";
  readonly tensors: readonly Tensor[];
  /** What these tensors may take of the file. */
  readonly limitBytes: number;
}

/** The tensors on the GPU and those in RAM, each with its limit; undefined where one limit holds for the file. */
export function memoryPools<Tensor extends { readonly name: string }>(
  memory: BudgetMemory | undefined,
  tensors: readonly Tensor[],
): readonly Pool<Tensor>[] | undefined {
  if (memory?.experts === undefined) return undefined;
  const elsewhere = new Set(memory.notOnGpu);
  const pool = (option: Pool<Tensor>["option"], isIn: (tensor: Tensor) => boolean, bytes: number) => {
    const own = tensors.filter(isIn);
    return { option, tensors: own, limitBytes: bytes - MOST_PADDING * own.length };
  };
  return [
    pool("--vram", ({ name }) => !elsewhere.has(name), bytesForWeights(memory)),
    pool("--ram", ({ name }) => elsewhere.has(name), bytesInRam(memory.experts)),
  ];
}

/** Bytes that the tensors of a plan take of the GPU. */
export function weightsOnGpu(
  tensors: readonly { readonly name: string; readonly bytes: number }[],
  { notOnGpu }: Pick<BudgetMemory, "notOnGpu">,
): number {
  const elsewhere = new Set(notOnGpu);
  return tensors.reduce((sum, { name, bytes }) => sum + (elsewhere.has(name) ? 0 : inBuffer(bytes)), 0);
}

/** What is to be wary of. */
export function memoryWarnings(
  tensors: readonly { readonly name: string; readonly bytes: number }[],
  memory: BudgetMemory,
): string[] {
  const { context, trainedContext, sequences } = memory;
  const beyond = beyondTraining(context, sequences, trainedContext);
  const warnings = beyond === undefined ? [] : [beyond];
  for (const [where, bytes] of Object.entries(overMemory(tensors, memory))) {
    if (bytes > 0) {
      warnings.push(`over the memory: the weights take ${bytes.toLocaleString("en-US")} bytes more of ${where}`);
    }
  }
  return warnings;
}

/** Whether the tensors of a plan take more of a memory than there is of it. */
export function isOverMemory({ tensors, budget }: Sized): boolean {
  return budget.memory !== undefined && Object.values(overMemory(tensors, budget.memory)).some((bytes) => bytes > 0);
}

interface Sized {
  readonly tensors: readonly { readonly name: string; readonly bytes: number }[];
  readonly budget: { readonly memory?: BudgetMemory | undefined };
}

/** Bytes too much; below 0 where there is room. */
function overMemory(tensors: Sized["tensors"], memory: BudgetMemory): Record<"the GPU" | "RAM", number> {
  const { experts } = memory;
  return {
    "the GPU": weightsOnGpu(tensors, memory) - bytesForWeights(memory),
    RAM: experts === undefined ? 0 : weightsInRam(tensors, memory) - bytesInRam(experts),
  };
}

/** Bytes that the tensors of a plan take of the machine's memory, where experts are there. */
export function weightsInRam(
  tensors: readonly { readonly name: string; readonly bytes: number }[],
  { notOnGpu }: Pick<BudgetMemory, "notOnGpu">,
): number {
  const names = new Set(notOnGpu);
  return tensors.reduce((sum, { name, bytes }) => sum + (names.has(name) ? inBuffer(bytes) : 0), 0);
}
