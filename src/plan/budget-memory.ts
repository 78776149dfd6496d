/** What a budget that was given as a GPU's memory goes to, and what the weights of a plan take of it. */
import { TENSOR_NAME } from "../analyze/analysis.ts";
import * as t from "../documents/fields.ts";
import { inBuffer } from "../footprint/weight-places.ts";
import { TENSOR_TYPE } from "../ggml/type-fields.ts";

/** Tensors whose place is named; the largest public models have a few thousand. */
const MAX_TENSORS = 200_000;

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
    projectorBytes: t.optional(t.bytes("Weights of the projector (mmproj).")),
    marginBytes: t.bytes("For the driver, and for how far the estimate is off."),
    notOnGpu: t.list(TENSOR_NAME, {
      maxItems: MAX_TENSORS,
      description: "Tensors that take none of the GPU's memory: input embeddings, and layers that are not loaded.",
    }),
  },
  "Absent where the budget was not given as memory. What is left of it after all these is for the weights.",
);
export interface BudgetMemory extends t.Content<typeof BUDGET_MEMORY> {}

/** Bytes that are left for the weights; below 0 where the rest alone is too much. */
export function bytesForWeights(memory: Omit<BudgetMemory, "notOnGpu">): number {
  const { vramBytes, kvBytes, stateBytes, computeBytes, projectorBytes = 0, marginBytes } = memory;
  return vramBytes - kvBytes - stateBytes - computeBytes - projectorBytes - marginBytes;
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
  const warnings: string[] = [];
  const each = Math.floor(context / sequences);
  if (trainedContext !== undefined && each > trainedContext) {
    warnings.push(
      `--ctx ${context}: ${each.toLocaleString("en-US")} tokens a sequence, and the model was trained on ${trainedContext.toLocaleString("en-US")}`,
    );
  }
  const over = weightsOnGpu(tensors, memory) - bytesForWeights(memory);
  if (over > 0)
    warnings.push(`over the memory: the weights take ${over.toLocaleString("en-US")} bytes more of the GPU`);
  return warnings;
}
