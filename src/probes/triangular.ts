/** Systems with a symmetric, positive definite matrix, a factor at hand for all that is asked of it. */

/** L with L·Lᵀ = the symmetric, positive definite matrix whose lower half is given. */
export function cholesky(matrix: readonly (readonly number[])[]): number[][] {
  const lower: number[][] = [];
  for (const [p, row] of matrix.entries()) {
    const own: number[] = [];
    for (let q = 0; q <= p; q++) {
      const other = q === p ? own : (lower[q] as number[]);
      let left = row[q] as number;
      for (let i = 0; i < q; i++) left -= (own[i] as number) * (other[i] as number);
      own.push(q === p ? Math.sqrt(left) : left / (other[q] as number));
    }
    lower.push(own);
  }
  return lower;
}

/** L⁻¹ · rows, for lower triangular L. */
export function forwardSolve(lower: readonly (readonly number[])[], rows: readonly Float64Array[]): Float64Array[] {
  const solved: Float64Array[] = [];
  for (const [p, row] of rows.entries()) {
    const result = row.slice();
    for (const [q, earlier] of solved.entries()) {
      const factor = lower[p]?.[q] as number;
      for (let t = 0; t < result.length; t++) result[t] = (result[t] as number) - factor * (earlier[t] as number);
    }
    const diagonal = lower[p]?.[p] as number;
    solved.push(result.map((value) => value / diagonal));
  }
  return solved;
}
