/**
 * Products of dense 32-bit matrices on a device: all that Gram matrices and the block Krylov iteration need of it.
 * `Dense` is the device's own handle of a row-major matrix; whoever received one releases it.
 */
export interface Products<Dense> {
  upload(data: Float32Array, rows: number, columns: number): Dense;
  /** op(a)·op(b), either one transposed on request. */
  multiply(a: Dense, b: Dense, transposeA: boolean, transposeB: boolean): Dense;
  /** a + factor·b, of one shape. */
  addScaled(a: Dense, b: Dense, factor: number): Dense;
  /** A copy of the rows of the first, then those of the next. */
  stack(parts: readonly Dense[]): Dense;
  read(dense: Dense): Promise<Float32Array>;
  release(...dense: readonly Dense[]): void;
}
