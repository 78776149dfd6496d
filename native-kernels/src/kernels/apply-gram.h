// result += scale·Aᵀ·(A·X) in one pass over A: a few rows are multiplied by X, and while they are in the cache, their
// transpose by the product. 32-bit; callers keep the number of rows of one call small and add up in 64 bits.

constexpr int64_t APPLY_ROWS = 8;

// Rows whose products with all vectors stay in registers.
constexpr int64_t TIMES_ROWS = 4;

// y = rows·X for TIMES_ROWS rows; y: TIMES_ROWS × KRYLOV_BLOCK.
static void timesBlock(const float *rows, int64_t columns, const float *x, float *y) {
  Floats sum[TIMES_ROWS][KRYLOV_BLOCK] = {};
  int64_t column = 0;
  for (; column + LANES <= columns; column += LANES) {
    Floats weights[TIMES_ROWS];
    PRISM_UNROLL
    for (int64_t row = 0; row < TIMES_ROWS; row++) weights[row] = loadFloats(rows + row * columns + column);
    PRISM_UNROLL
    for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
      const Floats vector = loadFloats(x + k * columns + column);
      PRISM_UNROLL
      for (int64_t row = 0; row < TIMES_ROWS; row++) sum[row][k] += weights[row] * vector;
    }
  }
  for (int64_t row = 0; row < TIMES_ROWS; row++) {
    for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
      float rest = 0;
      for (int64_t at = column; at < columns; at++) rest += rows[row * columns + at] * x[k * columns + at];
      y[row * KRYLOV_BLOCK + k] = sumOf(sum[row][k]) + rest;
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
    for (int64_t some = 0; some < APPLY_ROWS; some += TIMES_ROWS) {
      timesBlock(from + some * columns, columns, x, y + some * KRYLOV_BLOCK);
    }
    for (float &product : y) product *= scale;
    addTransposed(from, columns, y, result);
  }
  for (; row < rows; row++) {
    const float *from = data + row * columns;
    for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
      float product = 0;
      for (int64_t column = 0; column < columns; column++) product += from[column] * x[k * columns + column];
      for (int64_t column = 0; column < columns; column++) result[k * columns + column] += from[column] * (product * scale);
    }
  }
}
