// Gram matrix of a packed panel, 64-bit: tiles of GRAM_ROWS × GRAM_COLUMNS sums stay in registers.

constexpr int64_t GRAM_ROWS = PRISM_VECTOR_BYTES == 64 ? 8 : 4;
constexpr int64_t GRAM_COLUMNS = 2 * DOUBLE_LANES;

static void gramTile(const double *left, const double *right, int64_t depth, double *gram, int64_t order) {
  Doubles sum0[GRAM_ROWS] = {};
  Doubles sum1[GRAM_ROWS] = {};
  for (int64_t k = 0; k < depth; k++) {
    const Doubles right0 = loadDoubles(right + k * GRAM_TILE);
    const Doubles right1 = loadDoubles(right + k * GRAM_TILE + DOUBLE_LANES);
    PRISM_UNROLL
    for (int64_t row = 0; row < GRAM_ROWS; row++) {
      const double factor = left[k * GRAM_TILE + row];
      sum0[row] += factor * right0;
      sum1[row] += factor * right1;
    }
  }
  PRISM_UNROLL
  for (int64_t row = 0; row < GRAM_ROWS; row++) {
    double *to = gram + row * order;
    store(to, loadDoubles(to) + sum0[row]);
    store(to + DOUBLE_LANES, loadDoubles(to + DOUBLE_LANES) + sum1[row]);
  }
}

static void gram(const double *panel, int64_t order, int64_t depth, double *result) {
  for (int64_t j = 0; j < order; j += GRAM_COLUMNS) {
    const double *right = panel + (j / GRAM_TILE) * depth * GRAM_TILE + j % GRAM_TILE;
    for (int64_t i = j - j % GRAM_ROWS; i < order; i += GRAM_ROWS) {
      const double *left = panel + (i / GRAM_TILE) * depth * GRAM_TILE + i % GRAM_TILE;
      gramTile(left, right, depth, result + i * order + j, order);
    }
  }
}
