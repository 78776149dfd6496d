/** Opens the engine the user asked for: the embedded library, or the programs of a llama.cpp build. */
import { EngineError } from "../errors.ts";
import { type EmbeddedOptions, openEmbeddedEngine } from "./embedded.ts";
import type { Engine } from "./engine.ts";
import { openProgramsEngine } from "./programs.ts";

export interface OpenEngineOptions extends EmbeddedOptions {
  /** A llama.cpp build; its programs quantize and evaluate instead of the embedded library. */
  readonly llamaDir?: string | undefined;
}

/**
 * The programs of `llamaDir` if it is given; else the embedded library; else, on a platform without its package, the
 * programs on PATH. Throws EngineError (missing) that says what was tried.
 */
export async function openEngine(options: OpenEngineOptions): Promise<Engine> {
  if (options.llamaDir !== undefined) {
    // for round trips only, which run on the processor: the GPU is the programs' own affair
    const embedded = await openEmbeddedEngine({ threads: options.threads }).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
      return undefined;
    });
    return openProgramsEngine({ dir: options.llamaDir, embedded }).catch(async (error: unknown) => {
      await embedded?.close();
      throw error;
    });
  }
  try {
    return await openEmbeddedEngine(options);
  } catch (error) {
    if (!isMissing(error)) throw error;
    return openProgramsEngine({}).catch(() => {
      throw error;
    });
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof EngineError && error.code === "engine-missing";
}
