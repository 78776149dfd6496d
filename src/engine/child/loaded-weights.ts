/**
 * The weights of a loaded model, wherever they live, by name: the operands of the nodes that llama.cpp shows its callback
 * before it computes them. What is written there is computed with from then on.
 */
import koffi from "koffi";
import { rowBytes } from "../../ggml/tensor-types.ts";
import type { RewriteJob, RewrittenTensor } from "../engine.ts";
import { readGraphTensor } from "./graph-tensor.ts";
import type { LlamaLibrary, Pointer } from "./llama-library.ts";
import { rewriteTensors } from "./rewrite.ts";

export class LoadedWeights {
  readonly #library: LlamaLibrary;
  /** Embeddings that are the head too lie on a GPU a second time, under the same name. */
  readonly #addresses = new Map<string, Set<Pointer>>();

  /** `decode` a little, with this callback. */
  constructor(library: LlamaLibrary, decode: (watch: Pointer) => void) {
    this.#library = library;
    let problem: unknown;
    const look = (node: Pointer) => {
      try {
        this.#add(node);
      } catch (error) {
        problem ??= error;
      }
      return false;
    };
    const watch = koffi.register(look, koffi.pointer(library.evalCallback));
    try {
      decode(watch);
    } finally {
      koffi.unregister(watch);
    }
    if (problem !== undefined) throw problem;
  }

  /** Throws an Error where a tensor was not seen or is not as in its file, or a value no longer fits the source's type. */
  async rewrite({ from, tensors, type }: Omit<RewriteJob, "to">, threads: number): Promise<void> {
    const targets = new Map(tensors.map((tensor) => [tensor, this.#addressesOf(tensor)]));
    const put = (tensor: RewrittenTensor, at: number, data: Uint8Array) => {
      for (const address of targets.get(tensor) ?? []) this.#library.writeTensor(address, data, at, data.length);
    };
    await rewriteTensors(this.#library, { from, tensors, type }, put, threads);
  }

  #add(node: Pointer): void {
    for (const source of readGraphTensor(node).sources()) {
      const { isLeaf, name } = readGraphTensor(source);
      if (!isLeaf || name === "") continue;
      const known = this.#addresses.get(name);
      if (known === undefined) this.#addresses.set(name, new Set([source]));
      else known.add(source);
    }
  }

  #addressesOf({ name, shape, sourceType }: RewrittenTensor): ReadonlySet<Pointer> {
    const found = this.#addresses.get(name);
    if (found === undefined) throw new Error(`no operation of the loaded model reads ${name}`);
    const [columns = 1, ...outer] = shape;
    const bytes = outer.reduce((product, n) => product * n, rowBytes(sourceType, columns));
    for (const address of found) {
      const loaded = Number(this.#library.tensorBytes(address));
      if (loaded !== bytes) throw new Error(`${name} has ${loaded} bytes as it is loaded, ${bytes} in its file`);
    }
    return found;
  }
}
