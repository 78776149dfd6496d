/**
 * Eigenvalues of a symmetric matrix, without eigenvectors: Householder reduction to tridiagonal form, then implicit QL
 * (Golub and Van Loan, Matrix Computations, 8.3; the EISPACK routines tred1 and imtql1). Backward stable: every
 * eigenvalue is off by a few ulps of the largest one.
 */
import { BackendError } from "../../errors.ts";

/** QL sweeps allowed for one eigenvalue; two are usual and EISPACK allows 30. */
const MAX_SWEEPS = 60;

/**
 * Compute the eigenvalues, descending. `lower` is row-major `order` × `order`; only its lower triangle is read, and it
 * is overwritten. Throws BackendError where it holds NaN.
 */
export function symmetricEigenvalues(lower: Float64Array, order: number): Float64Array {
  const diagonal = new Float64Array(order);
  const offDiagonal = new Float64Array(order);
  tridiagonalize(lower, order, diagonal, offDiagonal);
  implicitQl(diagonal, offDiagonal, order);
  return diagonal.sort().reverse();
}

/**
 * Reduce from the last row upwards. The rank-2 update of one step and the matrix-vector product of the next one run
 * in the same pass over the triangle, which is what bounds the speed.
 */
function tridiagonalize(a: Float64Array, n: number, diagonal: Float64Array, offDiagonal: Float64Array): void {
  let u = new Float64Array(n);
  let uNext = new Float64Array(n);
  const q = new Float64Array(n);
  const p = new Float64Array(n);
  // u and q of the previous step; both 0 at the first one.
  for (let last = n - 1; last > 0; last--) {
    const row = last * n;
    const uLast = u[last] as number;
    const qLast = q[last] as number;
    for (let j = 0; j < last; j++) {
      uNext[j] = (a[row + j] as number) - uLast * (q[j] as number) - qLast * (u[j] as number);
    }
    diagonal[last] = (a[row + last] as number) - 2 * uLast * qLast;
    const h = reflect(uNext, last, offDiagonal);
    updateAndMultiply(a, n, last, u, q, uNext, p);
    let uDotP = 0;
    for (let j = 0; j < last; j++) uDotP += (uNext[j] as number) * (p[j] as number);
    const inverse = h === 0 ? 0 : 1 / h;
    const half = 0.5 * uDotP * inverse * inverse;
    for (let j = 0; j < last; j++) q[j] = (p[j] as number) * inverse - half * (uNext[j] as number);
    [u, uNext] = [uNext, u];
  }
  if (n > 0) diagonal[0] = (a[0] as number) - 2 * (u[0] as number) * (q[0] as number);
}

/**
 * Turn x = (x₀ … x₍ₗ₋₁₎) in place into the Householder vector u that maps it onto its last component, store that
 * component as offDiagonal[length], and return H = |u|²/2 (0: x is already there, u becomes 0).
 */
function reflect(x: Float64Array, length: number, offDiagonal: Float64Array): number {
  const end = length - 1;
  const head = x[end] as number;
  let scale = 0;
  for (let j = 0; j < end; j++) scale = Math.max(scale, Math.abs(x[j] as number));
  if (scale === 0) {
    offDiagonal[length] = head;
    x.fill(0, 0, length);
    return 0;
  }
  scale = Math.max(scale, Math.abs(head));
  let square = 0;
  for (let j = 0; j < length; j++) {
    const scaled = (x[j] as number) / scale;
    x[j] = scaled;
    square += scaled * scaled;
  }
  const scaledHead = head / scale;
  const norm = scaledHead >= 0 ? -Math.sqrt(square) : Math.sqrt(square);
  offDiagonal[length] = norm * scale;
  x[end] = scaledHead - norm;
  return square - scaledHead * norm;
}

/** Apply A −= u·qᵀ + q·uᵀ to the leading `order` rows of the lower triangle, and set p = A·v with the updated A. */
function updateAndMultiply(
  a: Float64Array,
  stride: number,
  order: number,
  u: Float64Array,
  q: Float64Array,
  v: Float64Array,
  p: Float64Array,
): void {
  for (let i = 0; i < order; i++) {
    const row = i * stride;
    const ui = u[i] as number;
    const qi = q[i] as number;
    const vi = v[i] as number;
    let sum = 0;
    for (let j = 0; j < i; j++) {
      const updated = (a[row + j] as number) - ui * (q[j] as number) - qi * (u[j] as number);
      a[row + j] = updated;
      sum += updated * (v[j] as number);
      p[j] = (p[j] as number) + updated * vi;
    }
    const onDiagonal = (a[row + i] as number) - 2 * ui * qi;
    a[row + i] = onDiagonal;
    p[i] = sum + onDiagonal * vi;
  }
}

/** Diagonalise by implicit QL sweeps; offDiagonal[i] couples i−1 and i. Both arrays are overwritten. */
function implicitQl(d: Float64Array, e: Float64Array, n: number): void {
  for (let i = 1; i < n; i++) e[i - 1] = e[i] as number;
  if (n > 0) e[n - 1] = 0;
  for (let first = 0; first < n; first++) {
    for (let sweeps = 0; ; sweeps++) {
      const end = splitPoint(d, e, first, n);
      if (end === first) break;
      if (sweeps === MAX_SWEEPS) {
        throw new BackendError(
          `eigenvalues of a symmetric matrix of order ${n}: no convergence after ${MAX_SWEEPS} sweeps; does it hold NaN or infinite values?`,
        );
      }
      qlSweep(d, e, first, end);
    }
  }
}

/** The first index from `first` on whose coupling to the next one is negligible. */
function splitPoint(d: Float64Array, e: Float64Array, first: number, n: number): number {
  let end = first;
  for (; end < n - 1; end++) {
    const size = Math.abs(d[end] as number) + Math.abs(d[end + 1] as number);
    if (Math.abs(e[end] as number) <= Number.EPSILON * size) break;
  }
  return end;
}

/** One implicit QL sweep over first … end with Wilkinson's shift. */
function qlSweep(d: Float64Array, e: Float64Array, first: number, end: number): void {
  const dFirst = d[first] as number;
  const eFirst = e[first] as number;
  const ratio = ((d[first + 1] as number) - dFirst) / (2 * eFirst);
  const root = Math.sqrt(ratio * ratio + 1);
  let g = (d[end] as number) - dFirst + eFirst / (ratio >= 0 ? ratio + root : ratio - root);
  let sine = 1;
  let cosine = 1;
  let shift = 0;
  for (let i = end - 1; i >= first; i--) {
    const f = sine * (e[i] as number);
    const b = cosine * (e[i] as number);
    const length = Math.sqrt(f * f + g * g);
    e[i + 1] = length;
    if (length === 0) {
      d[i + 1] = (d[i + 1] as number) - shift;
      e[end] = 0;
      return;
    }
    sine = f / length;
    cosine = g / length;
    g = (d[i + 1] as number) - shift;
    const t = ((d[i] as number) - g) * sine + 2 * cosine * b;
    shift = sine * t;
    d[i + 1] = g + shift;
    g = cosine * t - b;
  }
  d[first] = (d[first] as number) - shift;
  e[first] = g;
  e[end] = 0;
}
