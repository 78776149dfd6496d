/** Models that take turns: those that fit the memory together stay loaded, what was unused longest gives way. */
import { totalmem } from "node:os";
import type { Bench } from "../bench.ts";
import type { LoadedModel } from "../engine/engine.ts";
import type { KvTypes } from "../footprint/context-size.ts";
import type { OpenModel } from "../gguf/model.ts";
import { type LoadOptions, loadModel } from "./load-model.ts";

/** Part of the memory that weights may take: contexts and logits need the rest. */
const SHARE = 0.8;

/** A model as it is loaded; one object each, however often it is asked for. */
export interface ModelToLoad {
  readonly open: Pick<OpenModel, "path" | "fileBytes">;
  /** Types of its caches; by default F16. */
  readonly kv?: KvTypes | undefined;
}

export interface LoadedModels {
  /** The model, loaded; others may be closed for it, but not `beside`. */
  get(model: ModelToLoad, beside?: ModelToLoad): Promise<LoadedModel>;
  close(): Promise<void>;
}

export function createLoadedModels(
  options: Omit<LoadOptions, "kv">,
  bench: Bench,
  bytes = usableMemory(),
): LoadedModels {
  /** What was used last is last. */
  const loaded = new Map<ModelToLoad, LoadedModel>();
  const drop = async (model: ModelToLoad) => {
    const found = loaded.get(model);
    loaded.delete(model);
    await found?.close();
  };
  return {
    async get(model, beside) {
      const found = loaded.get(model);
      if (found !== undefined) {
        loaded.delete(model);
        loaded.set(model, found);
        return found;
      }
      for (const other of [...loaded.keys()]) {
        const needed = [model, ...loaded.keys()].reduce((sum, { open }) => sum + open.fileBytes, 0);
        if (needed > bytes && other !== beside) await drop(other);
      }
      const now = await loadModel(model.open.path, { ...options, kv: model.kv }, bench);
      loaded.set(model, now);
      return now;
    },
    async close() {
      for (const model of [...loaded.keys()]) await drop(model);
    },
  };
}

/** Of this process: a job on a cluster is given a part of its machine. */
function usableMemory(): number {
  return SHARE * Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
}
