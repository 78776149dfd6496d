/**
 * What a model takes of a GPU's memory with all its layers there: weights, keys and values, states, buffers for
 * computing, and what the driver keeps. docs/memory.md has how far the parts are from what llama.cpp reports.
 */
import { computeBytes } from "./compute-buffers.ts";
import { type ContextRequest, contextSize } from "./context-size.ts";
import type { HeaderMemory } from "./header-memory.ts";
import { kvCacheBytes } from "./kv-cache.ts";
import { stateBytes } from "./recurrent-state.ts";
import { type WeightTensor, weightBytes } from "./weight-places.ts";

/** Bytes of a GPU's memory. */
export interface ContextNeed {
  readonly kvBytes: number;
  /** Of recurrent layers. */
  readonly stateBytes: number;
  /** Estimated from the shapes of the largest layer. */
  readonly computeBytes: number;
  readonly marginBytes: number;
}

export interface MemoryNeed extends ContextNeed {
  readonly weightBytes: number;
  /** Weights that stay in the machine's memory: the input embeddings. */
  readonly hostBytes: number;
  /** All of a GPU's. */
  readonly totalBytes: number;
}

/** For the driver's context, its pools and kernels; llama.cpp's own --fit leaves twice as much. */
export const MARGIN_BYTES = 512 * 2 ** 20;

/** What a context takes beside the weights. `header`: of readHeaderMemory(). */
export function contextNeeded(header: HeaderMemory, request: ContextRequest): ContextNeed {
  const size = contextSize(header, request);
  return {
    kvBytes: sum(kvCacheBytes(header, size)),
    stateBytes: sum(stateBytes(header, size)),
    computeBytes: computeBytes(header, size),
    marginBytes: MARGIN_BYTES,
  };
}

/** What a file takes: `tensors` with the bytes of their types. */
export function memoryNeeded(
  header: HeaderMemory,
  tensors: readonly WeightTensor[],
  request: ContextRequest,
): MemoryNeed {
  const context = contextNeeded(header, request);
  const weights = weightBytes(header, tensors);
  const { kvBytes, stateBytes: state, computeBytes: compute, marginBytes } = context;
  return {
    ...context,
    weightBytes: weights.gpu,
    hostBytes: weights.host,
    totalBytes: weights.gpu + kvBytes + state + compute + marginBytes,
  };
}

function sum(bytes: readonly number[]): number {
  return bytes.reduce((total, each) => total + each, 0);
}
