/**
 * Sums of squared inputs of every weight matrix while a model decodes: what llama-imatrix collects, in its order and
 * precision (`IMatrixCollector::collect_imatrix` of tools/imatrix/imatrix.cpp at v0.5.0). llama.cpp calls back for each
 * node of its graph, on the thread that decodes.
 */
import koffi from "koffi";
import type { ImportanceSums } from "../engine.ts";
import { type GraphTensor, MUL_MAT, MUL_MAT_ID, readGraphTensor, weightName } from "./graph-tensor.ts";
import type { LlamaLibrary, Pointer } from "./llama-library.ts";

/** Of a product that llama-imatrix counts. */
const MIN_ROWS = 16;

/** What llama-imatrix leaves out. */
const HEADS: ReadonlySet<string> = new Set(["output.weight", "token_embd.weight"]);

export interface CollectorOptions {
  /** The output head too, whose weights are the embeddings' where it has none of its own. */
  readonly head: boolean;
  /** Fewer rows than this are not counted; by default as in llama-imatrix. */
  readonly minRows?: number;
}

export class ImportanceCollector {
  readonly entries = new Map<string, ImportanceSums>();
  /** For the context's cb_eval. */
  readonly callback: Pointer;
  readonly #library: LlamaLibrary;
  readonly #options: CollectorOptions;
  #inputs = new Float32Array();
  /** The dense product before: those of one input (q, k and v) that had summed the same go on to sum the same. */
  #last: { readonly input: Pointer; readonly before: Float32Array; readonly entry: ImportanceSums } | undefined;
  #error: unknown;

  constructor(library: LlamaLibrary, options: CollectorOptions) {
    this.#library = library;
    this.#options = options;
    this.callback = koffi.register(
      (node: Pointer, ask: boolean) => this.#called(node, ask),
      koffi.pointer(library.evalCallback),
    );
  }

  /** Throw what went wrong in the callbacks of a batch: an exception can't cross llama.cpp. */
  check(): void {
    // the next batch has other inputs in the same place
    this.#last = undefined;
    if (this.#error !== undefined) throw this.#error;
  }

  close(): void {
    koffi.unregister(this.callback);
  }

  /** Asked: whether this node is wanted. Told: collect it; false stops the decoding. */
  #called(address: Pointer, ask: boolean): boolean {
    try {
      const node = readGraphTensor(address);
      const indirect = node.op === MUL_MAT_ID;
      if (ask) return indirect || (node.op === MUL_MAT && this.#isWanted(node));
      if (indirect) this.#addExperts(node);
      else this.#addMatrix(node);
      return true;
    } catch (error) {
      this.#error ??= error;
      return false;
    }
  }

  #isWanted(node: GraphTensor): boolean {
    const input = readGraphTensor(node.source(1));
    const { head, minRows = MIN_ROWS } = this.#options;
    if ((input.ne[1] as number) < minRows || !input.isFloat) return false;
    const name = weightName(this.#library, node);
    return name.startsWith("blk.") || (head && HEADS.has(name));
  }

  /** A dense product: each row of the input counts for one matrix; heads of a batch count for the matrix they meet. */
  #addMatrix(node: GraphTensor): void {
    const weights = readGraphTensor(node.source(0));
    const matrices = weights.ne[2] * weights.ne[3];
    const address = node.source(1);
    const [length, rows, planes, cubes] = readGraphTensor(address).ne;
    const entry = this.#entry(node, length * matrices, 1);
    const { sums, counts } = entry;
    const last = this.#last;
    if (
      matrices === 1 &&
      last?.input === address &&
      last.entry !== entry &&
      sums.every((x, j) => x === last.before[j])
    ) {
      sums.set(last.entry.sums);
      counts.set(last.entry.counts);
      return;
    }
    this.#last = matrices === 1 ? { input: address, before: sums.slice(), entry } : undefined;
    const { input, values } = this.#readInput(node);
    for (let cube = 0; cube < cubes; cube++) {
      for (let plane = 0; plane < planes; plane++) {
        const matrix = (cube % weights.ne[3]) * weights.ne[2] + (plane % weights.ne[2]);
        const target = sums.subarray(matrix * length, (matrix + 1) * length);
        for (let row = 0; row < rows; row++) {
          addSquares(target, values, (row * input.nb[1] + plane * input.nb[2] + cube * input.nb[3]) / 4);
        }
      }
    }
    const added = Math.floor((rows * planes * cubes) / matrices);
    for (let i = 0; i < counts.length; i++) counts[i] = (counts[i] as number) + added;
  }

  /** A product with the experts a router chose: ids [used, tokens], input [length, used or 1, tokens]. */
  #addExperts(node: GraphTensor): void {
    const experts = readGraphTensor(node.source(0)).ne[2];
    const ids = readGraphTensor(node.source(2));
    const { input, values } = this.#readInput(node);
    if (ids.ne[1] !== input.ne[2])
      throw new Error(`${weightName(this.#library, node)}: ids of ${ids.ne[1]} tokens, inputs of ${input.ne[2]}`);
    const idBytes = this.#library.tensorBytes(ids.address);
    const chosen = new Int32Array(idBytes / Int32Array.BYTES_PER_ELEMENT);
    this.#library.readTensor(ids.address, chosen, 0, idBytes);
    const length = input.ne[0];
    const { sums, counts } = this.#entry(node, length * experts, experts);
    for (let slot = 0; slot < ids.ne[0]; slot++) {
      for (let token = 0; token < input.ne[2]; token++) {
        const expert = chosen[(token * ids.nb[1] + slot * ids.nb[0]) / 4] as number;
        if (expert < 0 || expert >= experts)
          throw new Error(`${weightName(this.#library, node)}: expert ${expert} of ${experts}`);
        counts[expert] = (counts[expert] as number) + 1;
        const offset = ((slot % input.ne[1]) * input.nb[1] + token * input.nb[2]) / 4;
        addSquares(sums.subarray(expert * length, (expert + 1) * length), values, offset);
      }
    }
  }

  #entry(node: GraphTensor, length: number, counts: number): ImportanceSums {
    const name = weightName(this.#library, node);
    const found = this.entries.get(name);
    if (found === undefined) {
      const entry = { sums: new Float32Array(length), counts: new Float64Array(counts) };
      this.entries.set(name, entry);
      return entry;
    }
    if (found.sums.length !== length) throw new Error(`${name}: inputs of ${length}, before of ${found.sums.length}`);
    return found;
  }

  #readInput(node: GraphTensor): { input: GraphTensor; values: Float32Array } {
    const input = readGraphTensor(node.source(1));
    if (!input.isFloat || input.nb[0] !== Float32Array.BYTES_PER_ELEMENT) {
      throw new Error(`${weightName(this.#library, node)}: its inputs are not 32-bit floats in rows`);
    }
    const bytes = this.#library.tensorBytes(input.address);
    if (this.#inputs.byteLength < bytes) this.#inputs = new Float32Array(bytes / Float32Array.BYTES_PER_ELEMENT);
    this.#library.readTensor(input.address, this.#inputs, 0, bytes);
    return { input, values: this.#inputs };
  }
}

/** target += x², each product and each sum rounded to 32 bits as the C code rounds them. */
function addSquares(target: Float32Array, values: Float32Array, offset: number): void {
  for (let j = 0; j < target.length; j++) {
    const x = values[offset + j] as number;
    target[j] = (target[j] as number) + Math.fround(x * x);
  }
}
