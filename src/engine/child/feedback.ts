/**
 * Quantizing with error feedback: the error of each column is made up for by the columns after it, as far as their inputs
 * vary together (GPTQ, in the form of QuIP's LDLQ). The arithmetic of native-kernels/src/feedback.cpp in 64 bits: taken
 * where the native kernels (native-feedback.ts) are not there, and what those are held to.
 */
import { rowBytes, TENSOR_TYPES, type TensorType } from "../../ggml/tensor-types.ts";
import { type CodeLayout, codeLayout, type GroupSteps, writeCodes } from "./codes.ts";
import { addMoments, feedbackFactor, momentsLength } from "./input-moments.ts";
import type { LlamaLibrary } from "./llama-library.ts";
import { decode } from "./round-trip.ts";

export interface FeedbackJob {
  /** Whole rows. */
  readonly data: Uint8Array;
  readonly sourceType: TensorType;
  readonly type: TensorType;
  readonly rows: number;
  readonly columns: number;
  /** One for each column, handed to ggml. */
  readonly importance: Float32Array;
  /** Of feedbackFactor(). */
  readonly feedback: Float32Array;
  readonly pivots: Float32Array;
}

/** What error feedback is made of, in TypeScript or in C++. */
export interface FeedbackKernels {
  readonly momentsLength: typeof momentsLength;
  readonly addMoments: typeof addMoments;
  feedbackFactor(...given: Parameters<typeof feedbackFactor>): Promise<boolean>;
  /**
   * Quantize into `packed`; returns e·H·eᵀ of the error e, summed over rows. Not finite: weights or scales were not, and
   * `packed` is of no use.
   */
  quantize(job: FeedbackJob, packed: Uint8Array): Promise<number>;
  /** The same sum of what stands in `packed`. */
  inputError(job: FeedbackJob, packed: Uint8Array): Promise<number>;
}

export function typescriptFeedback(library: LlamaLibrary): FeedbackKernels {
  return {
    momentsLength,
    addMoments,
    feedbackFactor: async (...given) => feedbackFactor(...given),
    quantize: async (job, packed) => quantizeWithFeedback(library, job, packed),
    inputError: async (job, packed) => inputError(library, job, packed),
  };
}

/** Throws an Error where a job's parts don't fit together. */
export function checkFeedbackJob(library: LlamaLibrary, job: FeedbackJob, packed: Uint8Array): void {
  const { rows, columns } = job;
  for (const type of [job.sourceType, job.type]) {
    if (type !== "F32" && !library.dequantize.has(type)) throw new Error(`ggml has no way to read ${type} weights`);
  }
  const lengths = [
    ["bytes of weights", job.data.byteLength, rows * rowBytes(job.sourceType, columns)],
    ["bytes to fill", packed.byteLength, rows * rowBytes(job.type, columns)],
    ["values of importance", job.importance.length, columns],
    ["factors", job.feedback.length, columns * columns],
    ["pivots", job.pivots.length, columns],
  ] as const;
  for (const [what, length, expected] of lengths) {
    if (length !== expected)
      throw new Error(`${length} ${what} for ${rows} × ${columns} weights; expected ${expected}`);
  }
}

export function quantizeWithFeedback(library: LlamaLibrary, job: FeedbackJob, packed: Uint8Array): number {
  checkFeedbackJob(library, job, packed);
  const { type, columns } = job;
  const { blockElements, blockBytes } = TENSOR_TYPES[type];
  let sum = 0;
  for (let row = 0; row < job.rows; row++) {
    const weights = weightsOf(library, job, row);
    const errors = new Float64Array(columns);
    for (let column = 0; column < columns; column += blockElements) {
      const targets = Float32Array.from(
        { length: blockElements },
        (_, j) => (weights[column + j] as number) - asked(job, column + j, errors, 0, column),
      );
      const moved = moveTargets(job, column, weights, targets);
      // ggml is not made for others
      if (!moved.every(Number.isFinite)) return Number.NaN;
      const start = (row * (columns / blockElements) + column / blockElements) * blockBytes;
      const block = { column, weights, targets, errors, packed: packed.subarray(start, start + blockBytes) };
      const near = withinReach(moved, weights.subarray(column, column + blockElements));
      if (near === moved) {
        sum += codeBlock(library, job, block, moved);
        continue;
      }
      const other = { ...block, errors: errors.slice(), packed: new Uint8Array(blockBytes) };
      const [far, close] = [codeBlock(library, job, block, moved), codeBlock(library, job, other, near)];
      if (close < far) {
        errors.set(other.errors);
        block.packed.set(other.packed);
      }
      sum += Math.min(far, close);
    }
  }
  return sum;
}

export function inputError(library: LlamaLibrary, job: FeedbackJob, packed: Uint8Array): number {
  checkFeedbackJob(library, job, packed);
  const { type, columns, pivots } = job;
  const bytes = rowBytes(type, columns);
  let sum = 0;
  for (let row = 0; row < job.rows; row++) {
    const weights = weightsOf(library, job, row);
    const stored = decode(library, type, packed.subarray(row * bytes, (row + 1) * bytes), columns);
    const errors = Float64Array.from(stored, (value, j) => value - (weights[j] as number));
    for (const [j, error] of errors.entries()) {
      sum += ((error + asked(job, j, errors, 0, j)) * (pivots[j] as number)) ** 2;
    }
  }
  return sum;
}

function weightsOf(library: LlamaLibrary, { data, sourceType, columns }: FeedbackJob, row: number): Float32Array {
  const bytes = rowBytes(sourceType, columns);
  return decode(library, sourceType, data.subarray(row * bytes, (row + 1) * bytes), columns);
}

/** What the errors of the columns from `first` to `end` ask of a column. */
function asked(job: FeedbackJob, column: number, errors: Float64Array, first: number, end: number): number {
  const start = column * job.columns;
  let sum = 0;
  for (let k = first; k < end; k++) sum += (job.feedback[start + k] as number) * (errors[k] as number);
  return sum;
}

/** A block of a row while its codes are chosen. */
interface Block {
  /** Its first. */
  readonly column: number;
  /** Of the row. */
  readonly weights: Float32Array;
  /** Of the block, as the errors before it leave them. */
  readonly targets: Float32Array;
  /** Of the row. */
  readonly errors: Float64Array;
  readonly packed: Uint8Array;
}

/** Choose scale and codes for targets that ggml is given; returns Σ of squared distances from the targets, times pivots. */
function codeBlock(library: LlamaLibrary, job: FeedbackJob, block: Block, given: Float32Array): number {
  const { column, weights, targets, errors, packed } = block;
  const { length } = targets;
  const importance = job.importance.subarray(column, column + length);
  library.quantizeChunk(TENSOR_TYPES[job.type].id, given, packed, 0, 1, length, importance);
  const layout = codeLayout(job.type);
  if (layout !== undefined) {
    const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
    return chooseCodes(job, layout, column, weights, targets, errors, view);
  }
  let sum = 0;
  for (const [j, stored] of decode(library, job.type, packed, length).entries()) {
    const at = column + j;
    errors[at] = stored - (weights[at] as number);
    const wanted = (targets[j] as number) - asked(job, at, errors, column, at);
    sum += ((stored - wanted) * (job.pivots[at] as number)) ** 2;
  }
  return sum;
}

/**
 * A target that is more than so many times the largest weight of its block is far away, as one of an input that hardly
 * varies may be: a scale that reaches it is too coarse for the others, mostly. Both are tried.
 */
const MOST_MOVED = 1.25;

/** Targets not too far away: the same where none is. */
function withinReach(moved: Float32Array, weights: Float32Array): Float32Array {
  const reach = Math.fround(MOST_MOVED * weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0));
  if (moved.every((target) => Math.abs(target) <= reach)) return moved;
  return moved.map((target) => Math.min(Math.max(target, -reach), reach));
}

/** What ggml is given: the targets were no column of the block rounded, as they make up for the errors before it. */
function moveTargets(job: FeedbackJob, column: number, weights: Float32Array, targets: Float32Array): Float32Array {
  const shifts = new Float64Array(job.columns);
  return targets.map((target, j) => {
    const at = column + j;
    const moved = target - asked(job, at, shifts, column, at);
    shifts[at] = moved - (weights[at] as number);
    return moved;
  });
}

/** Steps of a scale and an offset tried on either side of ggml's. */
const SCALE_REACH = 3;
const OFFSET_REACH = 2;

/** How often the codes of a block are chosen anew. */
const SWEEPS = 2;

/**
 * Codes of a block column by column, and then each for the others as they stand (coordinate descent on the block's part of
 * e·H·eᵀ). Scales are chosen when their first column is reached: by then the targets are no longer those that ggml saw.
 */
function chooseCodes(
  job: FeedbackJob,
  layout: CodeLayout,
  column: number,
  weights: Float32Array,
  targets: Float32Array,
  errors: Float64Array,
  block: DataView,
): number {
  const { groupWeights, levels, search } = layout;
  const steps = layout.steps(block);
  const pivots = job.pivots.subarray(column, column + targets.length);
  const scaleOf = (j: number) => scaleAt(layout, steps, Math.floor(j / groupWeights));
  const distances = new Float64Array(targets.length);
  const places = new Uint16Array(targets.length);
  for (let first = 0; first < targets.length; first += groupWeights) {
    const wanted = Array.from(
      targets.subarray(first, first + groupWeights),
      (target, j) => target - asked(job, column + first + j, errors, column, column + first),
    );
    if (search !== undefined) chooseSteps(layout, steps, first / groupWeights, wanted, pivots.subarray(first));
    for (const [i, given] of wanted.entries()) {
      const j = first + i;
      const at = column + j;
      const target = given - asked(job, at, errors, column + first, at);
      const { scale, offset } = scaleOf(j);
      const place = nearest(levels, scale === 0 ? 0 : (target - offset) / scale);
      const value = scale * (levels[place] as number) + offset;
      places[j] = place;
      errors[at] = value - (weights[at] as number);
      distances[j] = value - target;
    }
  }
  /** What a change of column k does to the distance of column j. */
  const effect = (k: number, j: number) =>
    j === k ? 1 : (job.feedback[(column + j) * job.columns + column + k] as number);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const [k, place] of places.entries()) {
      const { scale } = scaleOf(k);
      if (scale === 0) continue;
      let [slope, curvature] = [0, 0];
      for (let j = k; j < places.length; j++) {
        const weighted = effect(k, j) * (pivots[j] as number) ** 2;
        slope += weighted * (distances[j] as number);
        curvature += weighted * effect(k, j);
      }
      const old = levels[place] as number;
      const chosen = nearest(levels, (scale * old - slope / curvature) / scale);
      const step = scale * ((levels[chosen] as number) - old);
      places[k] = chosen;
      errors[column + k] = (errors[column + k] as number) + step;
      for (let j = k; j < places.length; j++) distances[j] = (distances[j] as number) + step * effect(k, j);
    }
  }
  search?.write(steps, block);
  writeCodes(layout, places, block);
  return distances.reduce((sum, distance, j) => sum + (distance * (pivots[j] as number)) ** 2, 0);
}

function scaleAt(layout: CodeLayout, steps: GroupSteps, group: number): { scale: number; offset: number } {
  return {
    scale: steps.superScale * ((steps.scale[group] as number) - layout.scaleZero),
    offset: steps.superOffset * (steps.offset[group] as number),
  };
}

/** The steps of a group under which its targets lie nearest to levels. */
function chooseSteps(
  layout: CodeLayout,
  steps: GroupSteps,
  group: number,
  targets: readonly number[],
  pivots: Float32Array,
): void {
  const { mostScale = 0, mostOffset = 0 } = layout.search ?? {};
  const [givenScale = 0, givenOffset = 0] = [steps.scale[group], steps.offset[group]];
  const within = (step: number, most: number) => Math.min(Math.max(step, 0), most);
  const offsetReach = mostOffset > 0 ? OFFSET_REACH : 0;
  let best = { error: Number.POSITIVE_INFINITY, scale: givenScale, offset: givenOffset };
  for (let byOffset = -offsetReach; byOffset <= offsetReach; byOffset++) {
    for (let by = -SCALE_REACH; by <= SCALE_REACH; by++) {
      steps.scale[group] = within(givenScale + by, mostScale);
      steps.offset[group] = within(givenOffset + byOffset, mostOffset);
      const { scale, offset } = scaleAt(layout, steps, group);
      const error = targets.reduce((sum, target, j) => {
        const place = nearest(layout.levels, scale === 0 ? 0 : (target - offset) / scale);
        return sum + ((scale * (layout.levels[place] as number) + offset - target) * (pivots[j] as number)) ** 2;
      }, 0);
      if (error < best.error) best = { error, scale: steps.scale[group], offset: steps.offset[group] };
    }
  }
  steps.scale[group] = best.scale;
  steps.offset[group] = best.offset;
}

/** Where in ascending levels the nearest is. */
function nearest(levels: readonly number[], value: number): number {
  let best = 0;
  for (let at = 1; at < levels.length; at++) {
    if (value > ((levels[at - 1] as number) + (levels[at] as number)) / 2) best = at;
    else break;
  }
  return best;
}
