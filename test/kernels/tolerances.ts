/**
 * How far a backend may be from the oracle of each operation, in one place. All are relative, eigenvalues to the
 * largest one of their window. `demanded` is what every backend owes; those that are better have a column of their own,
 * so that they do not decay unnoticed.
 */
export interface Tolerances {
  /** Row and column powers against plain sums. */
  readonly moments: number;
  /** Window eigenvalues above 1e-6 of the largest against squared singular values, relative to each. */
  readonly eigenvalue: number;
  /** σ₁ against the SVD. */
  readonly sigmaMax: number;
  /** Quantization error above that of an exhaustive search of the scale. */
  readonly osqe: number;
  /** Near weights, as a share of the weights, against a plain count. */
  readonly boundary: number;
}

export const TOLERANCES: Readonly<Record<"reference" | "native" | "demanded", Tolerances>> = {
  reference: { moments: 1e-12, eigenvalue: 1e-9, sigmaMax: 1e-6, osqe: 1e-4, boundary: 5e-3 },
  native: { moments: 1e-12, eigenvalue: 1e-9, sigmaMax: 1e-6, osqe: 1e-4, boundary: 5e-3 },
  demanded: { moments: 1e-5, eigenvalue: 1e-4, sigmaMax: 1e-4, osqe: 5e-3, boundary: 5e-3 },
};
