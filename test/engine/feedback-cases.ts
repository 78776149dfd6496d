/** Inputs that vary together, and jobs of error feedback under their moments. */
import type { FeedbackJob } from "../../src/engine/child/feedback.ts";
import { addMoments, feedbackFactor, momentsLength } from "../../src/engine/child/input-moments.ts";
import { rowBytes, type TensorType } from "../../src/ggml/tensor-types.ts";
import { createNormal, createRandom } from "../../src/random.ts";
import { drawWeights, encodeFloats, type SourceType } from "../fixtures/weights.ts";

/** What all columns have a share of. */
const COMMON = 8;

/** Rows in which columns vary with those beside them and all with a few common causes, on scales from 1 to 8. */
export function drawInputs(rows: number, columns: number, seed: number): Float32Array {
  const normal = createNormal(createRandom(seed));
  const shares = Float32Array.from({ length: COMMON * columns }, normal);
  const inputs = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const causes = Array.from({ length: COMMON }, normal);
    let beside = normal();
    for (let j = 0; j < columns; j++) {
      beside = 0.8 * beside + 0.6 * normal();
      const value = causes.reduce((sum, cause, at) => sum + cause * (shares[at * columns + j] as number), beside);
      inputs[row * columns + j] = value * 2 ** (j % 4);
    }
  }
  return inputs;
}

export function momentsOf(inputs: Float32Array, columns: number): Float32Array {
  const sums = new Float32Array(momentsLength(columns));
  addMoments(inputs, inputs.length / columns, columns, columns, sums);
  return sums;
}

export interface Factor {
  readonly feedback: Float32Array;
  readonly pivots: Float32Array;
}

/** Undefined: not positive definite. */
export function factorOf(sums: Float32Array, columns: number, shrinkage: number): Factor | undefined {
  const factor = { feedback: new Float32Array(columns ** 2), pivots: new Float32Array(columns) };
  return feedbackFactor(sums, columns, shrinkage, factor.feedback, factor.pivots) ? factor : undefined;
}

/** (1 − shrinkage)·Σ + shrinkage·diag Σ, in full. */
export function denseMoments(inputs: Float32Array, columns: number, shrinkage: number): Float64Array {
  const dense = new Float64Array(columns ** 2);
  for (let start = 0; start < inputs.length; start += columns) {
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < columns; j++) {
        const product = (inputs[start + i] as number) * (inputs[start + j] as number);
        dense[i * columns + j] = (dense[i * columns + j] as number) + product;
      }
    }
  }
  return dense.map((sum, at) => (at % (columns + 1) === 0 ? sum : (1 - shrinkage) * sum));
}

export interface Case {
  readonly type: TensorType;
  readonly rows?: number;
  readonly columns?: number;
  readonly sourceType?: SourceType;
  readonly shrinkage?: number;
  readonly inputs?: Float32Array;
  readonly weights?: Float32Array;
}

/** The factors of drawn inputs, which many cases share. */
const factors = new Map<string, { importance: Float32Array } & Factor>();

export function feedbackJob(given: Case): FeedbackJob {
  const { type, rows = 7, columns = 256, sourceType = "F32", shrinkage = 0.1 } = given;
  const key = given.inputs === undefined ? `${columns} ${shrinkage}` : undefined;
  const known = factors.get(key ?? "") ?? weighting(given.inputs ?? drawInputs(400, columns, 1), columns, shrinkage);
  if (key !== undefined) factors.set(key, known);
  const weights = given.weights ?? drawWeights([columns, rows], 0.02, 2);
  return { data: encodeFloats(sourceType, weights), sourceType, type, rows, columns, ...known };
}

function weighting(inputs: Float32Array, columns: number, shrinkage: number) {
  const rows = inputs.length / columns;
  const importance = new Float32Array(columns);
  for (const [at, x] of inputs.entries())
    importance[at % columns] = (importance[at % columns] as number) + x ** 2 / rows;
  const factor = factorOf(momentsOf(inputs, columns), columns, shrinkage);
  if (factor === undefined) throw new Error("these inputs have no factor");
  return { importance, ...factor };
}

export function roomFor({ type, rows, columns }: FeedbackJob): Uint8Array {
  return new Uint8Array(rows * rowBytes(type, columns));
}
