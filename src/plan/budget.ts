/** What a budget means in bytes of this model's file, exactly. */
import { parseBpw, parseSize } from "../allocate/budget.ts";
import { UsageError } from "../errors.ts";
import { typesToKeep } from "../ggml/eligibility.ts";
import { fileBytes, paddedBytes } from "../ggml/file-bytes.ts";
import { FILE_TYPE_NAMES, type FileType, parseFileType } from "../ggml/file-types.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { stockTypes } from "../ggml/stock-mix.ts";
import { type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import { present } from "../present.ts";
import type { BudgetMemory } from "./budget-memory.ts";
import { type TensorChoice, typesOf } from "./costing.ts";
import type { BudgetAsked } from "./plan.ts";

export type BudgetRequest = { readonly text?: string } & (
  | { readonly kind: "bpw"; readonly value: number }
  | { readonly kind: "fileBytes"; readonly value: number; readonly memory?: BudgetMemory | undefined }
  | { readonly kind: "like"; readonly fileType: FileType }
);

/**
 * Read a budget from the option of the command line that says it: `bpw` 3.5, `size` 4.3GB, `like` Q3_K_M. Throws
 * UsageError.
 */
export function budgetFrom(option: "bpw" | "size" | "like", value: string): BudgetRequest {
  if (option === "bpw") return { kind: "bpw", value: parseBpw(value), text: `--bpw ${value}` };
  if (option === "size") return { kind: "fileBytes", value: parseSize(value), text: `--size ${value}` };
  const fileType = parseFileType(value);
  if (fileType !== undefined) return { kind: "like", fileType, text: `--like ${fileType}` };
  throw new UsageError(`--like ${value}: not a preset of llama-quantize; give one of ${FILE_TYPE_NAMES.join(", ")}`);
}

/** What file sizes depend on besides the types. */
export interface SizeContext {
  readonly facts: ModelFacts;
  /** The header llama-quantize writes, quantize.imatrix.* included, without padding. */
  readonly headerBytes: number;
  readonly imatrix: boolean;
  readonly tensors: readonly TensorChoice[];
}

/** Turn what was asked into a limit on the file. Throws UsageError for a number that is no size. */
export function resolveBudget(request: BudgetRequest, context: SizeContext): BudgetAsked {
  if (request.kind === "like") {
    const text = request.text ?? `--like ${request.fileType}`;
    return { text, fileBytes: presetFileBytes(request.fileType, context) };
  }
  if (!(Number.isFinite(request.value) && request.value > 0)) {
    throw new UsageError(`a budget must be a positive number, got ${request.value}; try --bpw 4 or --size 4.3GB`);
  }
  if (request.kind === "fileBytes") {
    const limit = Math.floor(request.value);
    return { text: request.text ?? `--size ${limit}`, fileBytes: limit, ...present({ memory: request.memory }) };
  }
  const elements = context.tensors.reduce((sum, tensor) => sum + tensor.elements, 0);
  const limit = Math.floor((request.value * elements) / 8);
  return {
    text: request.text ?? `--bpw ${request.value}`,
    fileBytes: paddedBytes(context.headerBytes) + limit + largestPadding(context.tensors),
    tensorBytes: limit,
  };
}

/** Sizes of presets by what they depend on besides the tensors: a slider asks for them again and again. */
const SIZES = new WeakMap<SizeContext["tensors"], Map<string, number>>();

/** Bytes of the file that llama-quantize makes of this model under a stock preset. Remembered per list of tensors. */
export function presetFileBytes(fileType: FileType, context: SizeContext): number {
  const { facts, headerBytes, imatrix, tensors } = context;
  const sizes = SIZES.get(tensors) ?? new Map<string, number>();
  SIZES.set(tensors, sizes);
  const key = JSON.stringify([fileType, headerBytes, imatrix, facts]);
  const found = sizes.get(key) ?? countPresetBytes(fileType, context);
  sizes.set(key, found);
  return found;
}

function countPresetBytes(fileType: FileType, context: SizeContext): number {
  const types = presetTypes(fileType, context);
  return fileBytes(
    context.headerBytes,
    context.tensors.map(({ name, shape, sourceType }) => ({ shape, type: types.get(name) ?? sourceType })),
  );
}

/** The type of every tensor under a stock preset, with those told to keep theirs that llama-quantize would fail on. */
export function presetTypes(
  fileType: FileType,
  { facts, imatrix, tensors }: Pick<SizeContext, "facts" | "imatrix" | "tensors">,
): Map<string, TensorType> {
  const sources = tensors.map(({ name, shape, sourceType }) => ({ name, shape, type: sourceType }));
  return stockTypes(facts, sources, fileType, { imatrix, overrides: typesToKeep(sources) });
}

/** The most padding any choice of types could add, bytes: mostly 0, types end on the alignment. */
function largestPadding(tensors: readonly TensorChoice[]): number {
  return tensors.reduce((sum, { shape, sourceType, eligible, options, offered }) => {
    const types = eligible ? typesOf({ options, offered }) : [sourceType];
    const paddings = types.map((type) => {
      const bytes = tensorBytes(type, shape);
      return paddedBytes(bytes) - bytes;
    });
    return sum + Math.max(0, ...paddings);
  }, 0);
}
