/**
 * Second moments Σ x·xᵀ of the inputs of weight matrices, and the factor of them that says how columns make up for each
 * other's errors. The sums of native-kernels/src/input-moments.cpp in 64 bits: taken where the native kernels
 * (native-feedback.ts) are not there, and what those are held to.
 */

/** Sums are kept below the diagonal and on it, in strips of so many columns: a strip has the rows from its first on. */
const STRIP = 32;

/** An input that varies less than this part of the mean counts as one that varies so. */
const LEAST_PART = 1e-7;

/** What is left of an input's variance once those after it are known; less can't be told from rounding in 32 bits. */
const LEAST_PIVOT = 1e-5;

/** Floats that hold the sums of `order` inputs. */
export function momentsLength(order: number): number {
  return stripAt(order, Math.ceil(order / STRIP));
}

function stripAt(order: number, strip: number): number {
  return STRIP * (strip * Math.ceil(order / STRIP) * STRIP - (STRIP * strip * (strip - 1)) / 2);
}

/** The sum of the products of two inputs, row ≥ column. */
export function momentAt(sums: Float32Array, order: number, row: number, column: number): number {
  const strip = Math.floor(column / STRIP);
  return sums[stripAt(order, strip) + (row - strip * STRIP) * STRIP + (column % STRIP)] as number;
}

/** Throws an Error where inputs or sums are too short. */
export function checkMoments(
  inputs: Float32Array,
  rows: number,
  columns: number,
  stride: number,
  sums: Float32Array,
): void {
  const needed = (rows - 1) * stride + columns;
  if (stride < columns || inputs.length < needed) {
    throw new Error(`${rows} rows of ${columns} inputs, ${stride} apart, are not in ${inputs.length} floats`);
  }
  checkSums(sums, columns);
}

function checkSums(sums: Float32Array, order: number): void {
  if (sums.length === momentsLength(order)) return;
  throw new Error(`moments of ${order} inputs are ${momentsLength(order)} floats, not ${sums.length}`);
}

/** Add rows of inputs, `stride` floats apart. */
export function addMoments(
  inputs: Float32Array,
  rows: number,
  columns: number,
  stride: number,
  sums: Float32Array,
): void {
  checkMoments(inputs, rows, columns, stride, sums);
  const added = new Float64Array(sums.length);
  for (let row = 0; row < rows; row++) {
    const values = inputs.subarray(row * stride, row * stride + columns);
    for (let first = 0; first < columns; first += STRIP) {
      const start = stripAt(columns, first / STRIP);
      const width = Math.min(STRIP, columns - first);
      for (let i = first; i < columns; i++) {
        const value = values[i] as number;
        const at = start + (i - first) * STRIP;
        for (let j = 0; j < width; j++)
          added[at + j] = (added[at + j] as number) + value * (values[first + j] as number);
      }
    }
  }
  for (let at = 0; at < sums.length; at++) sums[at] = (sums[at] as number) + (added[at] as number);
}

/** Throws an Error where sums or what is made of them don't have the length that `order` asks for. */
export function checkFactor(sums: Float32Array, order: number, feedback: Float32Array, pivots: Float32Array): void {
  checkSums(sums, order);
  if (feedback.length !== order * order || pivots.length !== order) {
    throw new Error(`a factor of ${order} inputs doesn't fit ${feedback.length} and ${pivots.length} floats`);
  }
}

/**
 * R of H = (1 − shrinkage)·Σ + shrinkage·diag Σ = R·Rᵀ, R upper triangular: feedback[j·order + k] = R(k, j) / R(j, j) for
 * k < j, the rest of a row is 0, and pivots[j] = R(j, j). An input that never varied counts as one that hardly does.
 * Returns false where H is not positive definite.
 */
export function feedbackFactor(
  sums: Float32Array,
  order: number,
  shrinkage: number,
  feedback: Float32Array,
  pivots: Float32Array,
): boolean {
  checkFactor(sums, order, feedback, pivots);
  const variances = Float64Array.from({ length: order }, (_, j) => momentAt(sums, order, j, j));
  const mean = variances.reduce((sum, variance) => sum + variance / order, 0);
  if (!Number.isFinite(mean)) return false;
  const least = mean > 0 ? mean * LEAST_PART : 1;
  const deviations = variances.map((variance) => Math.sqrt(Math.max(variance, least)));
  // R of the correlations.
  const factor = new Float64Array(order * order);
  for (let j = order - 1; j >= 0; j--) {
    const known = factor.subarray(j * order + j + 1, (j + 1) * order);
    const pivot = 1 - dot(known, known);
    if (!(pivot > LEAST_PIVOT)) return false;
    factor[j * order + j] = Math.sqrt(pivot);
    for (let k = 0; k < j; k++) {
      const product = (deviations[k] as number) * (deviations[j] as number);
      const correlation = ((1 - shrinkage) * momentAt(sums, order, j, k)) / product;
      const rest = correlation - dot(factor.subarray(k * order + j + 1, (k + 1) * order), known);
      factor[k * order + j] = rest / Math.sqrt(pivot);
    }
  }
  feedback.fill(0);
  for (let j = 0; j < order; j++) {
    const deviation = deviations[j] as number;
    const pivot = factor[j * order + j] as number;
    pivots[j] = pivot * deviation;
    for (let k = 0; k < j; k++) {
      const scale = (deviations[k] as number) / deviation;
      feedback[j * order + k] = ((factor[k * order + j] as number) / pivot) * scale;
    }
  }
  return true;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] as number) * (b[at] as number);
  return sum;
}
