/**
 * Second moments Σ x·xᵀ of the inputs of weight matrices while a model decodes. Weights that are fed by one tensor of the
 * graph, as q, k and v are, share them. Experts that are all fed a token's state share them too; those that are fed what
 * only they computed have their own. llama.cpp calls back for each node of its graph, on the thread that decodes.
 */
import koffi from "koffi";
import { seedFromName } from "../../random.ts";
import type { FeedbackKernels } from "./feedback.ts";
import { type GraphTensor, MUL_MAT, MUL_MAT_ID, readGraphTensor, weightName } from "./graph-tensor.ts";
import type { LlamaLibrary, Pointer } from "./llama-library.ts";

/** Sums over rows of `length` inputs; of one kind of text, another for each weight, apart from those of the others. */
export interface InputMoments {
  readonly length: number;
  readonly fitted: Float32Array;
  readonly held: Float32Array;
}

/** What a collector knows. */
export interface CollectedSums {
  /** By the name of the first weight that has these inputs, and the expert where each has its own. */
  readonly moments: Map<string, InputMoments>;
  /** By the name of each weight: the first that has its inputs. */
  readonly leaders: Map<string, string>;
}

export interface CollectedWeights {
  readonly wanted: ReadonlySet<string>;
  /** Kinds of text, which are decoded one after another. */
  readonly kinds: number;
  /** Sums of the first kinds, to go on from. */
  readonly begun?: CollectedSums | undefined;
}

export class MomentsCollector {
  readonly sums: CollectedSums;
  readonly #moments: CollectedSums["moments"];
  readonly #leaders: CollectedSums["leaders"];
  /** For the context's cb_eval. */
  readonly callback: Pointer;
  readonly #library: LlamaLibrary;
  readonly #kernels: FeedbackKernels;
  readonly #weights: CollectedWeights;
  /** Of the graph that is computed: inputs by their address, and the weights that were reached. */
  readonly #known = new Map<Pointer, string>();
  readonly #reached = new Set<string>();
  /** How many a whole graph reaches. */
  #all: number | undefined;
  #kind = 0;
  #inputs = new Float32Array();
  #error: unknown;

  constructor(library: LlamaLibrary, kernels: FeedbackKernels, weights: CollectedWeights) {
    this.#library = library;
    this.#kernels = kernels;
    this.#weights = weights;
    this.sums = weights.begun ?? { moments: new Map(), leaders: new Map() };
    this.#moments = this.sums.moments;
    this.#leaders = this.sums.leaders;
    this.callback = koffi.register(
      (node: Pointer, ask: boolean) => this.#called(node, ask),
      koffi.pointer(library.evalCallback),
    );
  }

  /** The weights whose inputs were seen. */
  get names(): string[] {
    return [...this.#leaders.keys()];
  }

  /** What has the same inputs has the same key. */
  keyOf(name: string, expert: number | undefined): string | undefined {
    const leader = this.#leaders.get(name);
    if (leader === undefined) return undefined;
    const own = `${leader} ${expert}`;
    return this.#moments.has(own) ? own : leader;
  }

  /** Absent: an expert that no token was routed to. */
  momentsOf(key: string): InputMoments | undefined {
    return this.#moments.get(key);
  }

  /** From now on the text is of this kind. */
  beginKind(kind: number): void {
    this.#kind = kind;
  }

  /** A batch was decoded. Throws what went wrong in it: an exception can't cross llama.cpp. */
  endBatch(): void {
    if (this.#error !== undefined) throw this.#error;
    this.#beginGraph();
  }

  #beginGraph(): void {
    this.#all = new Set(this.#leaders.values()).size;
    this.#known.clear();
    this.#reached.clear();
  }

  close(): void {
    koffi.unregister(this.callback);
  }

  /** Asked: whether this node is wanted. Told: take it in; false stops the decoding, once there is nothing left to see. */
  #called(address: Pointer, ask: boolean): boolean {
    try {
      const node = readGraphTensor(address);
      if (ask) return (node.op === MUL_MAT || node.op === MUL_MAT_ID) && this.#isLeader(node);
      if (node.op === MUL_MAT_ID) this.#addExperts(node);
      else this.#addMatrix(node);
      return this.#reached.size !== this.#all;
    } catch (error) {
      this.#error ??= error;
      return false;
    }
  }

  #isLeader(node: GraphTensor): boolean {
    const name = weightName(this.#library, node);
    if (!this.#weights.wanted.has(name)) return false;
    const [, , matrices, more] = readGraphTensor(node.source(0)).ne;
    // a matrix for each head: their inputs are apart
    if (node.op === MUL_MAT && matrices * more > 1) return false;
    // llama.cpp decodes a batch in parts, each with a graph of its own
    if (this.#reached.has(name)) this.#beginGraph();
    const input = node.source(1);
    const leader = this.#leaders.get(name) ?? this.#known.get(input) ?? name;
    this.#leaders.set(name, leader);
    this.#known.set(input, leader);
    if (leader === name) this.#reached.add(name);
    return leader === name;
  }

  #addMatrix(node: GraphTensor): void {
    const name = weightName(this.#library, node);
    const { input, values } = this.#readInput(node, name);
    const [length, rows, planes, cubes] = input.ne;
    const floats = (bytes: number) => bytes / Float32Array.BYTES_PER_ELEMENT;
    for (let plane = 0; plane < planes * cubes; plane++) {
      const first = floats((plane % planes) * input.nb[2] + Math.floor(plane / planes) * input.nb[3]);
      this.#add(name, values.subarray(first), { rows, length, stride: floats(input.nb[1]) });
    }
  }

  /** A product with the experts a router chose: ids [used, tokens], input [length, used or 1, tokens]. */
  #addExperts(node: GraphTensor): void {
    const name = weightName(this.#library, node);
    const { input, values } = this.#readInput(node, name);
    const [length, used, tokens] = input.ne;
    const stride = (dimension: 1 | 2) => input.nb[dimension] / Float32Array.BYTES_PER_ELEMENT;
    if (used === 1) {
      this.#add(name, values, { rows: tokens, length, stride: stride(2) });
      return;
    }
    const ids = readGraphTensor(node.source(2));
    const idBytes = this.#library.tensorBytes(ids.address);
    const chosen = new Int32Array(idBytes / Int32Array.BYTES_PER_ELEMENT);
    this.#library.readTensor(ids.address, chosen, 0, idBytes);
    const rowsOf = new Map<number, number[]>();
    for (let token = 0; token < tokens; token++) {
      for (let slot = 0; slot < used; slot++) {
        const expert = chosen[(token * ids.nb[1] + slot * ids.nb[0]) / 4] as number;
        const offsets = rowsOf.get(expert) ?? [];
        offsets.push(slot * stride(1) + token * stride(2));
        rowsOf.set(expert, offsets);
      }
    }
    for (const [expert, offsets] of rowsOf) {
      const rows = new Float32Array(offsets.length * length);
      for (const [row, offset] of offsets.entries()) rows.set(values.subarray(offset, offset + length), row * length);
      this.#add(`${name} ${expert}`, rows, { rows: offsets.length, length, stride: length });
    }
  }

  #readInput(node: GraphTensor, name: string): { input: GraphTensor; values: Float32Array } {
    const input = readGraphTensor(node.source(1));
    if (!input.isFloat || input.nb[0] !== Float32Array.BYTES_PER_ELEMENT) {
      throw new Error(`${name}: its inputs are not 32-bit floats in rows`);
    }
    const bytes = this.#library.tensorBytes(input.address);
    if (this.#inputs.byteLength < bytes) this.#inputs = new Float32Array(bytes / Float32Array.BYTES_PER_ELEMENT);
    this.#library.readTensor(input.address, this.#inputs, 0, bytes);
    return { input, values: this.#inputs };
  }

  #add(key: string, values: Float32Array, { rows, length, stride }: { rows: number; length: number; stride: number }) {
    let moments = this.#moments.get(key);
    if (moments === undefined) {
      const floats = this.#kernels.momentsLength(length);
      moments = { length, fitted: new Float32Array(floats), held: new Float32Array(floats) };
      this.#moments.set(key, moments);
    }
    // another kind from weight to weight, and the same however many passes are made
    const isHeld = seedFromName(key, 0) % this.#weights.kinds === this.#kind;
    this.#kernels.addMoments(values, rows, length, stride, isHeld ? moments.held : moments.fitted);
  }
}
