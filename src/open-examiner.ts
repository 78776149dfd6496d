/** Asks the embedded llama.cpp about models without an engine: no process but the one that loads each. */
import { EngineChild } from "./engine/child-process.ts";
import type { Library } from "./engine/engine.ts";
import { findEnginePackage, LLAMA_VERSION } from "./engine/package.ts";
import { tryLoad } from "./engine/try-load.ts";
import { EngineError } from "./errors.ts";

export interface Examiner extends Pick<Library, "tryLoad"> {
  readonly version: string;
}

/** What asks, or why there is nothing to ask. */
export function openExaminer(): Examiner | string {
  try {
    const found = findEnginePackage();
    return { version: LLAMA_VERSION, tryLoad: (options) => tryLoad(new EngineChild(found), options) };
  } catch (error) {
    if (error instanceof EngineError && error.code === "engine-missing")
      return "the embedded llama.cpp is not installed";
    throw error;
  }
}
