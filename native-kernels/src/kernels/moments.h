// Powers of rows and columns. Four rows at a time share the loads of the column sums.

constexpr int64_t MOMENTS_ROWS = 4;
// Columns looked at before they are summed: four rows of them stay in the first-level cache.
constexpr int64_t MOMENTS_COLUMNS = 1024;

static bool allFinite(const float *data, int64_t stride, int64_t columns) {
  // The exponent bits of NaN and infinities are all ones.
  constexpr int32_t EXPONENT = 0x7f800000;
  Ints found = {};
  int32_t rest = 0;
  for (int64_t row = 0; row < MOMENTS_ROWS; row++) {
    const float *from = data + row * stride;
    int64_t column = 0;
    for (; column + LANES <= columns; column += LANES) found |= (loadBits(from + column) & EXPONENT) == EXPONENT;
    for (; column < columns; column++) rest |= from[column] - from[column] != 0;
  }
  for (int64_t lane = 0; lane < LANES; lane++) rest |= found[lane];
  return rest == 0;
}

static void finiteMoments(const float *data, int64_t stride, int64_t columns, double *rowPower, double *columnPower) {
  const float *r0 = data, *r1 = r0 + stride, *r2 = r1 + stride, *r3 = r2 + stride;
  Doubles s0 = {}, s1 = {}, s2 = {}, s3 = {};
  int64_t column = 0;
  for (; column + DOUBLE_LANES <= columns; column += DOUBLE_LANES) {
    const Doubles w0 = loadWidened(r0 + column), w1 = loadWidened(r1 + column);
    const Doubles w2 = loadWidened(r2 + column), w3 = loadWidened(r3 + column);
    const Doubles p0 = w0 * w0, p1 = w1 * w1, p2 = w2 * w2, p3 = w3 * w3;
    s0 += p0;
    s1 += p1;
    s2 += p2;
    s3 += p3;
    store(columnPower + column, loadDoubles(columnPower + column) + ((p0 + p1) + (p2 + p3)));
  }
  double tail[MOMENTS_ROWS] = {};
  for (; column < columns; column++) {
    for (int64_t row = 0; row < MOMENTS_ROWS; row++) {
      const double weight = data[row * stride + column];
      tail[row] += weight * weight;
      columnPower[column] += weight * weight;
    }
  }
  rowPower[0] += sumOf(s0) + tail[0];
  rowPower[1] += sumOf(s1) + tail[1];
  rowPower[2] += sumOf(s2) + tail[2];
  rowPower[3] += sumOf(s3) + tail[3];
}

static int64_t checkedMoments(const float *data, int64_t stride, int64_t rows, int64_t columns, double *rowPower,
                              double *columnPower) {
  int64_t nonFinite = 0;
  for (int64_t row = 0; row < rows; row++) {
    double power = 0;
    for (int64_t column = 0; column < columns; column++) {
      const double weight = data[row * stride + column];
      const bool finite = weight - weight == 0;
      const double square = finite ? weight * weight : 0;
      nonFinite += !finite;
      power += square;
      columnPower[column] += square;
    }
    rowPower[row] += power;
  }
  return nonFinite;
}

static int64_t moments(const float *data, int64_t rows, int64_t columns, double *rowPower, double *columnPower) {
  int64_t nonFinite = 0;
  for (int64_t row = 0; row < rows; row++) rowPower[row] = 0;
  for (int64_t row = 0; row < rows; row += MOMENTS_ROWS) {
    const int64_t some = rows - row < MOMENTS_ROWS ? rows - row : MOMENTS_ROWS;
    for (int64_t column = 0; column < columns; column += MOMENTS_COLUMNS) {
      const int64_t width = columns - column < MOMENTS_COLUMNS ? columns - column : MOMENTS_COLUMNS;
      const float *from = data + row * columns + column;
      if (some == MOMENTS_ROWS && allFinite(from, columns, width)) {
        finiteMoments(from, columns, width, rowPower + row, columnPower + column);
      } else {
        nonFinite += checkedMoments(from, columns, some, width, rowPower + row, columnPower + column);
      }
    }
  }
  return nonFinite;
}
