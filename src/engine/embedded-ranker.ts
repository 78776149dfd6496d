/** A model loaded in the embedded engine's child process to say something after whole prompts. */
import type { EngineChild } from "./child-process.ts";
import type { JointTokens, LoadedRanker, ModelLoadOptions } from "./engine.ts";
import { ModelInChild } from "./model-in-child.ts";

/** `load` wants the context that chunks would have; prompts bring their own. */
const NO_CHUNKS = 512;

/** Load a model; `vision` is the library that reads images, where it was built. Throws EngineError where llama.cpp can't. */
export async function loadRanker(
  child: EngineChild,
  { vision, ...options }: Omit<ModelLoadOptions, "context"> & { readonly vision?: string | undefined },
): Promise<LoadedRanker> {
  const [inChild, { vocabSize, contextTrain }] = await ModelInChild.load(child, { ...options, context: NO_CHUNKS });
  const { handle } = inChild;
  const joints = await inChild.call<JointTokens>("joints", handle, { signal: options.signal });
  return {
    vocabSize,
    contextTrain,
    joints,
    encode: (texts, options) => inChild.call("encode", { handle, texts, ...options }),
    detokenize: (ids) => inChild.call("detokenize", { handle, ids }),
    pool: (prompts, { pooling, shared = 0, pairs, signal: stop }) =>
      inChild.call("pool", { handle, prompts, pooling, shared, pairs }, { signal: stop }),
    nextLogits: (prompts, { ids, shared = 0, signal: stop }) =>
      inChild.call("nextLogits", { handle, prompts, ids, shared }, { signal: stop }),
    ...(vision !== undefined && {
      see: (prompts, { signal: stop, ...asked }) =>
        inChild.call("see", { handle, library: vision, prompts, ...asked }, { signal: stop }),
    }),
    close: () => inChild.close(),
  };
}
