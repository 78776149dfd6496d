// Gram matrix of a packed panel: tiles of GRAM_ROWS × two vectors of sums stay in registers.

constexpr int64_t GRAM_ROWS = PRISM_VECTOR_BYTES == 64 ? 8 : 4;

template <typename Number>
static inline void gramTile(const Number *left, const Number *right, int64_t depth, Number *gram, int64_t order) {
  typedef typename VectorOf<Number>::Vector Vector;
  constexpr int64_t COUNT = VectorOf<Number>::LANE_COUNT, TILE = gramTileOf<Number>();
  Vector sum0[GRAM_ROWS] = {};
  Vector sum1[GRAM_ROWS] = {};
  for (int64_t k = 0; k < depth; k++) {
    const Vector right0 = load(right + k * TILE);
    const Vector right1 = load(right + k * TILE + COUNT);
    PRISM_UNROLL
    for (int64_t row = 0; row < GRAM_ROWS; row++) {
      const Number factor = left[k * TILE + row];
      sum0[row] += factor * right0;
      sum1[row] += factor * right1;
    }
  }
  PRISM_UNROLL
  for (int64_t row = 0; row < GRAM_ROWS; row++) {
    Number *to = gram + row * order;
    store(to, load(to) + sum0[row]);
    store(to + COUNT, load(to + COUNT) + sum1[row]);
  }
}

template <typename Number>
static void gramOf(const Number *panel, int64_t order, int64_t depth, Number *result) {
  constexpr int64_t COLUMNS = 2 * VectorOf<Number>::LANE_COUNT, TILE = gramTileOf<Number>();
  for (int64_t j = 0; j < order; j += COLUMNS) {
    const Number *right = panel + (j / TILE) * depth * TILE + j % TILE;
    for (int64_t i = j - j % GRAM_ROWS; i < order; i += GRAM_ROWS) {
      const Number *left = panel + (i / TILE) * depth * TILE + i % TILE;
      gramTile(left, right, depth, result + i * order + j, order);
    }
  }
}

static void gram(const double *panel, int64_t order, int64_t depth, double *result) {
  gramOf(panel, order, depth, result);
}

static void gramFloats(const float *panel, int64_t order, int64_t depth, float *result) {
  gramOf(panel, order, depth, result);
}

// One tile of columns, from its own first row on, kept as order − column rows of the tile's width.
static void gramStrip(const float *panel, int64_t order, int64_t depth, int64_t column, float *result) {
  constexpr int64_t COLUMNS = 2 * LANES, TILE = gramTileOf<float>();
  for (int64_t j = column; j < column + TILE; j += COLUMNS) {
    const float *right = panel + (column / TILE) * depth * TILE + j % TILE;
    for (int64_t i = column; i < order; i += GRAM_ROWS) {
      const float *left = panel + (i / TILE) * depth * TILE + i % TILE;
      gramTile(left, right, depth, result + (i - column) * TILE + j % TILE, TILE);
    }
  }
}
