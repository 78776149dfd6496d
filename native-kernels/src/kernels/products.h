// result −= left·rightᵀ, rows of both contiguous along the depth: tiles of 4 × 4 dot products stay in registers.

constexpr int64_t PRODUCT_TILE = 4;

template <int64_t ROWS, int64_t COLUMNS>
static inline void subtractTile(const float *left, int64_t leftStride, const float *right, int64_t rightStride,
                                int64_t depth, float *result, int64_t resultStride) {
  Floats sums[ROWS][COLUMNS] = {};
  int64_t k = 0;
  for (; k + LANES <= depth; k += LANES) {
    Floats across[COLUMNS];
    PRISM_UNROLL
    for (int64_t j = 0; j < COLUMNS; j++) across[j] = loadFloats(right + j * rightStride + k);
    PRISM_UNROLL
    for (int64_t i = 0; i < ROWS; i++) {
      const Floats down = loadFloats(left + i * leftStride + k);
      PRISM_UNROLL
      for (int64_t j = 0; j < COLUMNS; j++) sums[i][j] += down * across[j];
    }
  }
  for (int64_t i = 0; i < ROWS; i++) {
    for (int64_t j = 0; j < COLUMNS; j++) {
      float sum = sumOf(sums[i][j]);
      for (int64_t rest = k; rest < depth; rest++) sum += left[i * leftStride + rest] * right[j * rightStride + rest];
      result[i * resultStride + j] -= sum;
    }
  }
}

static void subtractProducts(const float *left, int64_t leftStride, int64_t leftRows, const float *right,
                             int64_t rightStride, int64_t rightRows, int64_t depth, float *result,
                             int64_t resultStride) {
  constexpr int64_t TILE = PRODUCT_TILE;
  if (depth <= 0) return;
  for (int64_t j = 0; j < rightRows; j += TILE) {
    for (int64_t i = 0; i < leftRows; i += TILE) {
      const float *down = left + i * leftStride, *across = right + j * rightStride;
      float *to = result + i * resultStride + j;
      if (i + TILE <= leftRows && j + TILE <= rightRows) {
        subtractTile<TILE, TILE>(down, leftStride, across, rightStride, depth, to, resultStride);
        continue;
      }
      for (int64_t row = 0; row < leftRows - i && row < TILE; row++) {
        for (int64_t column = 0; column < rightRows - j && column < TILE; column++) {
          subtractTile<1, 1>(down + row * leftStride, leftStride, across + column * rightStride, rightStride, depth,
                             to + row * resultStride + column, resultStride);
        }
      }
    }
  }
}
