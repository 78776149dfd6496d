// result += scale·Aᵀ·(A·X) in one pass over A: a few rows are multiplied by X, and while they are in the cache, their
// transpose by the product. 32-bit; callers keep the number of rows of one call small and add up in 64 bits.

constexpr int64_t APPLY_ROWS = 8;

// y = rows·X for 2 rows; y: 2 × KRYLOV_BLOCK.
static void timesBlock(const float *row0, const float *row1, int64_t columns, const float *x, float *y) {
  Floats sum0[KRYLOV_BLOCK] = {};
  Floats sum1[KRYLOV_BLOCK] = {};
  int64_t column = 0;
  for (; column + LANES <= columns; column += LANES) {
    const Floats w0 = loadFloats(row0 + column), w1 = loadFloats(row1 + column);
    PRISM_UNROLL
    for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
      const Floats vector = loadFloats(x + k * columns + column);
      sum0[k] += w0 * vector;
      sum1[k] += w1 * vector;
    }
  }
  PRISM_UNROLL
  for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
    y[k] = sumOf(sum0[k]);
    y[KRYLOV_BLOCK + k] = sumOf(sum1[k]);
  }
  for (; column < columns; column++) {
    for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
      y[k] += row0[column] * x[k * columns + column];
      y[KRYLOV_BLOCK + k] += row1[column] * x[k * columns + column];
    }
  }
}

// result += rowsᵀ·y for APPLY_ROWS rows.
static void addTransposed(const float *data, int64_t columns, const float *y, float *result) {
  int64_t column = 0;
  for (; column + LANES <= columns; column += LANES) {
    Floats weights[APPLY_ROWS];
    PRISM_UNROLL
    for (int64_t row = 0; row < APPLY_ROWS; row++) weights[row] = loadFloats(data + row * columns + column);
    for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
      Floats sum = loadFloats(result + k * columns + column);
      PRISM_UNROLL
      for (int64_t row = 0; row < APPLY_ROWS; row++) sum += weights[row] * y[row * KRYLOV_BLOCK + k];
      store(result + k * columns + column, sum);
    }
  }
  for (; column < columns; column++) {
    for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
      for (int64_t row = 0; row < APPLY_ROWS; row++) {
        result[k * columns + column] += data[row * columns + column] * y[row * KRYLOV_BLOCK + k];
      }
    }
  }
}

static void applyGram(const float *data, int64_t rows, int64_t columns, float scale, const float *x, float *result) {
  float y[APPLY_ROWS * KRYLOV_BLOCK];
  int64_t row = 0;
  for (; row + APPLY_ROWS <= rows; row += APPLY_ROWS) {
    const float *from = data + row * columns;
    for (int64_t pair = 0; pair < APPLY_ROWS; pair += 2) {
      timesBlock(from + pair * columns, from + (pair + 1) * columns, columns, x, y + pair * KRYLOV_BLOCK);
    }
    for (float &product : y) product *= scale;
    addTransposed(from, columns, y, result);
  }
  for (; row < rows; row++) {
    const float *from = data + row * columns;
    timesBlock(from, from, columns, x, y);
    for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
      for (int64_t column = 0; column < columns; column++) result[k * columns + column] += from[column] * (y[k] * scale);
    }
  }
}
