/** Models that take turns: those that fit the memory together stay loaded, what was unused longest gives way. */
import { totalmem } from "node:os";
import type { Bench } from "../bench.ts";
import type { LoadedModel } from "../engine/engine.ts";
import type { OpenModel } from "../gguf/model.ts";
import { type LoadOptions, loadModel } from "./load-model.ts";

/** Part of the memory that weights may take: contexts and logits need the rest. */
const SHARE = 0.8;

export interface LoadedModels {
  /** The model, loaded; others may be closed for it, but not `beside`. */
  get(open: OpenModel, beside?: OpenModel): Promise<LoadedModel>;
  close(): Promise<void>;
}

export function createLoadedModels(options: LoadOptions, bench: Bench, bytes = usableMemory()): LoadedModels {
  /** What was used last is last. */
  const loaded = new Map<OpenModel, LoadedModel>();
  const drop = async (open: OpenModel) => {
    const found = loaded.get(open);
    loaded.delete(open);
    await found?.close();
  };
  return {
    async get(open, beside) {
      const found = loaded.get(open);
      if (found !== undefined) {
        loaded.delete(open);
        loaded.set(open, found);
        return found;
      }
      for (const other of [...loaded.keys()]) {
        const needed = [open, ...loaded.keys()].reduce((sum, { fileBytes }) => sum + fileBytes, 0);
        if (needed > bytes && other !== beside) await drop(other);
      }
      const model = await loadModel(open.path, options, bench);
      loaded.set(open, model);
      return model;
    },
    async close() {
      for (const open of [...loaded.keys()]) await drop(open);
    },
  };
}

/** Of this process: a job on a cluster is given a part of its machine. */
function usableMemory(): number {
  return SHARE * Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
}
