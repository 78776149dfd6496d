// Powers of rows and columns. Four rows at a time share the loads of the column sums. Squares of 32-bit numbers don't
// overflow 64 bits, so a row's power is finite if its weights are: only where one is not, the weights are looked at.

constexpr int64_t MOMENTS_ROWS = 4;

static void finiteMoments(const float *data, int64_t columns, double *rowPower, double *columnPower) {
  const float *r0 = data, *r1 = r0 + columns, *r2 = r1 + columns, *r3 = r2 + columns;
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
      const double weight = data[row * columns + column];
      tail[row] += weight * weight;
      columnPower[column] += weight * weight;
    }
  }
  rowPower[0] = sumOf(s0) + tail[0];
  rowPower[1] = sumOf(s1) + tail[1];
  rowPower[2] = sumOf(s2) + tail[2];
  rowPower[3] = sumOf(s3) + tail[3];
}

static int64_t checkedMoments(const float *data, int64_t rows, int64_t columns, double *rowPower,
                              double *columnPower) {
  int64_t nonFinite = 0;
  for (int64_t row = 0; row < rows; row++) {
    double power = 0;
    for (int64_t column = 0; column < columns; column++) {
      const double weight = data[row * columns + column];
      const bool finite = weight - weight == 0;
      const double square = finite ? weight * weight : 0;
      nonFinite += !finite;
      power += square;
      columnPower[column] += square;
    }
    rowPower[row] = power;
  }
  return nonFinite;
}

static int64_t moments(const float *data, int64_t rows, int64_t columns, double *rowPower, double *columnPower) {
  const int64_t together = rows - rows % MOMENTS_ROWS;
  bool finite = true;
  for (int64_t column = 0; column < columns; column++) columnPower[column] = 0;
  for (int64_t row = 0; row < together; row += MOMENTS_ROWS) {
    finiteMoments(data + row * columns, columns, rowPower + row, columnPower);
    for (int64_t at = row; at < row + MOMENTS_ROWS; at++) finite &= rowPower[at] - rowPower[at] == 0;
  }
  if (finite) {
    return checkedMoments(data + together * columns, rows - together, columns, rowPower + together, columnPower);
  }
  for (int64_t column = 0; column < columns; column++) columnPower[column] = 0;
  return checkedMoments(data, rows, columns, rowPower, columnPower);
}
