/** A model loaded in the embedded engine's child process to say something after whole prompts. */
import type { LoadCall } from "./child/loaded-model.ts";
import type { EngineChild } from "./child-process.ts";
import { type LoadReply, takeHandle } from "./embedded-model.ts";
import type { JointTokens, LoadedRanker, ModelLoadOptions } from "./engine.ts";

/** `load` wants the context that chunks would have; prompts bring their own. */
const NO_CHUNKS = 512;

/** Load a model. Throws EngineError where llama.cpp can't. */
export async function loadRanker(
  child: EngineChild,
  { model, threads, gpuLayers, signal }: Omit<ModelLoadOptions, "context">,
): Promise<LoadedRanker> {
  const handle = takeHandle();
  const request: LoadCall & { context: number } = { handle, model, context: NO_CHUNKS, threads, gpuLayers };
  const { vocabSize, contextTrain } = await child.call<LoadReply>("load", request, { signal });
  const joints = await child.call<JointTokens>("joints", handle, { signal });
  const { generation } = child;
  let closed = false;
  return {
    vocabSize,
    contextTrain,
    joints,
    encode: (texts, options) => child.call("encode", { handle, texts, ...options }),
    detokenize: (ids) => child.call("detokenize", { handle, ids }),
    pool: (prompts, { pooling, signal: stop }) => child.call("pool", { handle, prompts, pooling }, { signal: stop }),
    nextLogits: (prompts, { ids, signal: stop }) =>
      child.call("nextLogits", { handle, prompts, ids }, { signal: stop }),
    async close() {
      if (closed || child.generation !== generation) return;
      closed = true;
      await child.call("unload", handle);
    },
  };
}
