/** A model in the engine's child process: calls about it, as long as that process lives. */
import { EngineError } from "../errors.ts";
import type { LoadCall } from "./child/loaded-model.ts";
import type { Request } from "./child/main.ts";
import type { CallOptions, EngineChild } from "./child-process.ts";
import type { ModelLoadOptions } from "./engine.ts";
import { type FilesRead, noteModel } from "./files-read.ts";

export interface LoadReply {
  readonly vocabSize: number;
  readonly addBos: boolean;
  readonly bos: number;
  readonly contextTrain: number;
  readonly chunksPerBatch: number;
}

/**
 * The number of the next model. None is used twice, so that a number from before a crash can't mean another model in the
 * process after it.
 */
let nextHandle = 1;

export class ModelInChild {
  readonly handle = nextHandle++;
  /** Its files as they were before it was loaded: mapped, they are read as long as it is. */
  readonly reads: FilesRead;
  readonly #child: EngineChild;
  #generation = 0;
  #closed = false;

  private constructor(child: EngineChild, { model, mapped = false }: ModelLoadOptions) {
    this.#child = child;
    this.reads = noteModel(model, { writable: mapped });
  }

  /** Load a model. Throws EngineError where llama.cpp can't. */
  static async load(child: EngineChild, options: ModelLoadOptions): Promise<[ModelInChild, LoadReply]> {
    const model = new ModelInChild(child, options);
    const { signal, ...load } = options;
    const request: LoadCall & { context: number } = { ...load, handle: model.handle };
    const reply = await child.call<LoadReply>("load", request, { signal, reads: model.reads });
    model.#generation = child.generation;
    return [model, reply];
  }

  /** Call a method about this model. Throws EngineError (`ended`) where its process has ended, whatever runs now. */
  call<Result>(method: Request["method"], args: unknown, options: CallOptions = {}): Promise<Result> {
    return this.#child.call(method, args, { reads: this.reads, ...options, generation: this.#generation });
  }

  /** What ended with its process needs no unloading. */
  async close(): Promise<void> {
    if (this.#closed || this.#child.generation !== this.#generation) return;
    this.#closed = true;
    await this.call("unload", this.handle).catch((error: unknown) => {
      if (!(error instanceof EngineError) || error.ended === undefined) throw error;
    });
  }
}
