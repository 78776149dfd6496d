/**
 * A GPU's memory and a context → the budget of a file that fits beside it: what is left after keys and values, states,
 * buffers, a projector and a margin, plus what of the file takes none of the GPU's memory. Input embeddings are such:
 * they get at least the type that the nearest preset gives them, which is what the budget counts on.
 */
import { openWork } from "../allocate/compile-pattern.ts";
import { matchNames } from "../allocate/patterns.ts";
import type { Constraint } from "../allocate/problem.ts";
import { UsageError } from "../errors.ts";
import { type ContextAsked, contextSize } from "../footprint/context-size.ts";
import { type HeaderMemory, readHeaderMemory, trainedContext } from "../footprint/header-memory.ts";
import { kvTypesRefusal } from "../footprint/kv-cache.ts";
import { contextNeeded } from "../footprint/memory-needed.ts";
import { inBuffer, weightPlaces } from "../footprint/weight-places.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { paddedBytes } from "../ggml/file-bytes.ts";
import { type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import type { Model, OpenModel } from "../gguf/model.ts";
import { nearestBase } from "../plan/base-file-type.ts";
import { type BudgetRequest, presetTypes } from "../plan/budget.ts";
import { type BudgetMemory, bytesForWeights, MOST_PADDING, memoryPools } from "../plan/budget-memory.ts";
import { contextOf, smallestTypes } from "../plan/budget-range.ts";
import { exactName } from "../plan/exact-name.ts";
import { present } from "../present.ts";
import { placeExperts } from "./experts-in-ram.ts";
import { largestContext, whatWouldFit } from "./what-would-fit.ts";

export interface VramAsked {
  readonly vramBytes: number;
  readonly context: ContextAsked;
  /** Memory of the machine for experts. */
  readonly ramBytes?: number | undefined;
  /** Of a projector, with what it computes in. */
  readonly projectorBytes?: number | undefined;
  /** As it was typed: "--vram 6GB --ctx 8192". */
  readonly text: string;
}

/** What else limits the types of the plan. */
export interface VramPlanning {
  readonly constraints: readonly Constraint[];
  readonly types?: readonly TensorType[] | undefined;
  /** What an importance matrix has, or will have, values for. */
  readonly hasImportance?: ((name: string) => boolean) | undefined;
}

export interface VramBudget {
  readonly budget: BudgetRequest & { readonly memory: BudgetMemory };
  /** Floors on what takes none of the GPU's memory. */
  readonly floors: readonly Constraint[];
}

/** Throws UsageError where the memory can't be computed, InfeasibleError (with what would fit) where nothing fits. */
export function vramBudget(open: OpenModel, asked: VramAsked, planning: VramPlanning): VramBudget {
  const { model } = open;
  const header = memoryHeader(model);
  const refusal = kvTypesRefusal(header, contextSize(header, asked.context));
  if (refusal !== undefined) throw new UsageError(`--kv: ${refusal}; give another type, or leave --kv out for F16`);
  const memory = memoryOf(open, header, asked);
  const leastBytes = leastBytesOf(model, planning);
  if (asked.ramBytes !== undefined) {
    const placed = placeExperts({ memory, tensors: model.tensors, leastBytes, text: asked.text }, asked.ramBytes);
    const limits = memoryPools(placed, model.tensors)?.map(({ limitBytes }) => limitBytes) ?? [];
    return {
      budget: budgetOf(
        open,
        sum(limits, (bytes) => bytes),
        placed,
        asked,
      ),
      floors: [],
    };
  }
  const left = bytesForWeights(memory);
  const elsewhere = new Set(memory.notOnGpu);
  const least = bytesOnGpu(model, memory, leastBytes);
  // a pin may ask for smaller types than a plan would choose
  const pinned = planning.constraints.some(({ kind }) => kind === "pin");
  if (left < (pinned ? 1 : least)) throw whatWouldFit(header, asked, memory, least);
  const floors = floorsOf(open, memory, planning);
  const floorOf = new Map(floors.map(({ name, type }) => [name, type]));
  const limit = sum(model.tensors, ({ name, shape, bytes }) => {
    if (!elsewhere.has(name)) return -MOST_PADDING;
    const floor = floorOf.get(name);
    return paddedBytes(floor === undefined ? (leastBytes.get(name) ?? bytes) : tensorBytes(floor, shape));
  });
  return {
    budget: budgetOf(open, left + limit, memory, asked),
    floors: floors.map(({ name, type }) => ({ kind: "floor", pattern: exactName(name), type, builtIn: true })),
  };
}

/**
 * The longest of these contexts, or shorter ones, at which a plan in the smallest types fits the memory, or, `asIs`, the
 * file itself; undefined where none does. Throws UsageError where the memory can't be computed.
 */
export function longestContext(
  open: OpenModel,
  asked: Omit<VramAsked, "context" | "text"> & {
    readonly contexts: readonly number[];
    readonly kv: ContextAsked["kv"];
    readonly parallel: number;
    readonly asIs: boolean;
  },
): number | undefined {
  const { contexts, kv, parallel, asIs } = asked;
  const header = memoryHeader(open.model);
  const found = contexts.flatMap((tokens) => {
    const context: ContextAsked = { context: tokens, parallel, kv };
    const memory = memoryOf(open, header, { ...asked, context });
    const least = bytesOnGpu(open.model, memory, asIs ? new Map() : leastBytesOf(open.model, {}));
    return largestContext(header, { context }, kv, memory, least) ?? [];
  });
  return found.length === 0 ? undefined : Math.max(...found);
}

/** What each tensor takes at least in a plan. */
function leastBytesOf(
  { tensors }: Model,
  { hasImportance }: Pick<VramPlanning, "hasImportance">,
): ReadonlyMap<string, number> {
  return new Map(
    smallestTypes({ tensors, hasImportance }).map(({ name, type, shape }) => [name, tensorBytes(type, shape)]),
  );
}

/** Of all tensors there; those that are not in `sizes` as they are. */
function bytesOnGpu({ tensors }: Model, { notOnGpu }: BudgetMemory, sizes: ReadonlyMap<string, number>): number {
  const elsewhere = new Set(notOnGpu);
  return sum(tensors, ({ name, bytes }) => (elsewhere.has(name) ? 0 : inBuffer(sizes.get(name) ?? bytes)));
}

/** `bytes`: of all tensors in the file, padded. */
function budgetOf(
  { facts }: OpenModel,
  bytes: number,
  memory: BudgetMemory,
  { text }: VramAsked,
): VramBudget["budget"] {
  return { kind: "fileBytes", value: paddedBytes(facts.outputHeaderBytes) + bytes, text, memory };
}

function memoryHeader(model: Model): HeaderMemory {
  const header = readHeaderMemory(model);
  if (typeof header !== "string") return header;
  throw new UsageError(`--vram: what ${model.path} takes of memory can't be computed: ${header}; give --size instead`);
}

function memoryOf({ model }: OpenModel, header: HeaderMemory, asked: Omit<VramAsked, "text">): BudgetMemory {
  const { vramBytes, context, projectorBytes } = asked;
  const names = model.tensors.map(({ name }) => name);
  const places = weightPlaces(header, names);
  return {
    vramBytes,
    context: context.context,
    ...present({ trainedContext: trainedContext(header) }),
    sequences: context.parallel,
    kvTypes: context.kv,
    ...contextNeeded(header, context),
    ...present({ projectorBytes }),
    notOnGpu: names.filter((name) => !places.get(name)?.gpu),
  };
}

interface Floor {
  readonly name: string;
  readonly type: TensorType;
}

/** What takes none of the GPU's memory, in the types of the nearest preset, but for what the user has a say in. */
function floorsOf(open: OpenModel, memory: BudgetMemory, { constraints, types, hasImportance }: VramPlanning): Floor[] {
  if (types !== undefined) return [];
  const { facts, model } = open;
  const sizes = contextOf({ facts, headerBytes: facts.outputHeaderBytes, tensors: model.tensors, hasImportance });
  const preset = presetTypes(nearestBase(bytesForWeights(memory), sizes), sizes);
  const eligible = model.tensors.filter((tensor) => ineligibleReason(tensor) === undefined).map(({ name }) => name);
  const work = openWork();
  const spokenFor = new Set(constraints.flatMap((constraint) => [...matchNames(constraint, eligible, work)]));
  const possible = new Set(eligible.filter((name) => !spokenFor.has(name)));
  return memory.notOnGpu.flatMap((name) => {
    const type = preset.get(name);
    return type === undefined || !possible.has(name) ? [] : [{ name, type }];
  });
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
