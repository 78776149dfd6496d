/**
 * How far a backend may be from the oracle of each operation, in one place; docs/backends.md shows it. All are relative.
 * `demanded` is what every backend owes; those that are better have a column of their own, so that they do not decay
 * unnoticed.
 */
export interface Tolerances {
  /** Row and column powers against plain sums. */
  readonly moments: number;
  /** Window eigenvalues against squared singular values, of each. */
  readonly eigenvalue: number;
  /** What is allowed on top for an eigenvalue, of the largest one of its window. */
  readonly eigenvalueResidue: number;
  /** σ₁ against the SVD. */
  readonly sigmaMax: number;
  /** Quantization error against that of an exhaustive search of the scale. */
  readonly osqe: number;
  /** What is allowed on top for a quantization error, of the power, where a block lies on the grid. */
  readonly osqeResidue: number;
  /** Near weights, as a share of the weights, against a plain count. */
  readonly boundary: number;
  /** Metrics of an analysis, of each value; boundary density, a ratio of counts, by 5 × `boundary`. */
  readonly metric: number;
}

/** 64-bit arithmetic; the sweep of the scale is within 1e-4 of all scales. */
const WIDE: Tolerances = {
  moments: 1e-12,
  eigenvalue: 1e-9,
  eigenvalueResidue: 1e-13,
  sigmaMax: 1e-6,
  osqe: 1e-4,
  osqeResidue: 1e-13,
  boundary: 5e-3,
  metric: 1e-4,
};

/** Products in 32-bit arithmetic: a Gram matrix is off by some 1e-7 of its largest eigenvalue. */
const PRODUCTS_32: Tolerances = { ...WIDE, eigenvalue: 1e-6, eigenvalueResidue: 1e-6, sigmaMax: 1e-6 };

/** Windows in 32 bits where that is enough; σ₁ is iterated until it grows by less than 1e-5; 16 to 32 scales are tried. */
const NATIVE: Tolerances = { ...PRODUCTS_32, sigmaMax: 1e-5, osqe: 3e-3, metric: 3e-3 };

/** All of it in 32 bits, and candidate scales on a grid. */
const ALL_32: Tolerances = { ...PRODUCTS_32, moments: 2e-6, osqe: 1e-3, osqeResidue: 1e-12, metric: 1e-3 };

export const TOLERANCES = {
  reference: WIDE,
  native: NATIVE,
  webgpu: ALL_32,
  tfjs: PRODUCTS_32,
  demanded: {
    moments: 1e-5,
    eigenvalue: 1e-4,
    eigenvalueResidue: 2e-6,
    sigmaMax: 1e-4,
    osqe: 5e-3,
    osqeResidue: 1e-12,
    boundary: 5e-3,
    metric: 5e-3,
  },
} satisfies Readonly<Record<string, Tolerances>>;
