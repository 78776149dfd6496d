#include "block-lanczos.h"
#include "symmetric-eigenvalues.h"
#include <algorithm>
#include <cmath>

namespace prism {

namespace {

// Share of its length that a vector must keep beside the others of its block to count as a new direction.
constexpr double INDEPENDENT = 1e-10;

using Factors = double[KRYLOV_BLOCK][KRYLOV_BLOCK];

// Mulberry32, as in src/random.ts.
class Random {
public:
  explicit Random(uint32_t seed) : state(seed) {}
  double next() {
    state += 0x6d2b79f5u;
    uint32_t mixed = (state ^ (state >> 15)) * (state | 1u);
    mixed ^= mixed + (mixed ^ (mixed >> 7)) * (mixed | 61u);
    return static_cast<double>(mixed ^ (mixed >> 14)) / 4294967296.0;
  }

private:
  uint32_t state;
};

// image −= block·factors, factors[i][k] of vector i of the block in vector k of the image.
void subtract(const double *block, const Factors &factors, double *image, int64_t order) {
  for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
    for (int64_t i = 0; i < KRYLOV_BLOCK; i++) {
      kernels().axpy(-factors[i][k], block + i * order, image + k * order, order);
    }
  }
}

// Modified Gram-Schmidt inside a block, twice; vectors without a direction of their own become 0. The block was that of
// the orthonormal vectors times `factors`. False where all become 0.
bool orthonormalize(double *block, int64_t order, Factors &factors) {
  const Kernels &kernel = kernels();
  bool any = false;
  for (int64_t i = 0; i < KRYLOV_BLOCK; i++) {
    double *vector = block + i * order;
    const double length = std::sqrt(kernel.dot(vector, vector, order));
    for (int pass = 0; pass < 2; pass++) {
      for (int64_t j = 0; j < i; j++) {
        const double *known = block + j * order;
        const double product = kernel.dot(known, vector, order);
        kernel.axpy(-product, known, vector, order);
        factors[j][i] += product;
      }
    }
    const double rest = std::sqrt(kernel.dot(vector, vector, order));
    const bool independent = rest > INDEPENDENT * length;
    factors[i][i] = independent ? rest : 0;
    for (int64_t at = 0; at < order; at++) vector[at] = independent ? vector[at] / rest : 0;
    any = any || independent;
  }
  return any;
}

} // namespace

BlockLanczos::BlockLanczos(int64_t order, int64_t maxBlocks)
    : order(order), capacity(maxBlocks * KRYLOV_BLOCK), block(static_cast<size_t>(KRYLOV_BLOCK * order)),
      before(block.size(), 0.0), projected(static_cast<size_t>(capacity * capacity), 0.0) {}

void BlockLanczos::start(uint32_t seed) {
  Random random(seed);
  for (double &value : block) value = 2 * random.next() - 1;
  Factors factors = {};
  orthonormalize(block.data(), order, factors);
}

bool BlockLanczos::add(std::vector<double> image) {
  const int64_t first = count;
  count += KRYLOV_BLOCK;
  Factors own, coupling = {};
  for (int64_t i = 0; i < KRYLOV_BLOCK; i++) {
    for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
      own[i][k] = kernels().dot(block.data() + i * order, image.data() + k * order, order);
      if (i <= k) at(first + k, first + i) = own[i][k];
      // What couples this block to the one before was stored with it: the transpose of its factors.
      if (first > 0) coupling[i][k] = at(first + k, first - KRYLOV_BLOCK + i);
    }
  }
  subtract(block.data(), own, image.data(), order);
  subtract(before.data(), coupling, image.data(), order);
  if (isFull()) return false;
  Factors factors = {};
  const bool goesOn = orthonormalize(image.data(), order, factors);
  for (int64_t i = 0; i < KRYLOV_BLOCK; i++) {
    for (int64_t k = 0; k < KRYLOV_BLOCK; k++) at(count + i, first + k) = factors[i][k];
  }
  before = std::move(block);
  block = std::move(image);
  return goesOn;
}

double BlockLanczos::largestRitzValue() const {
  constexpr int64_t TILE = gramTileOf<double>();
  const int64_t stride = (count + TILE - 1) / TILE * TILE;
  std::vector<double> lower(static_cast<size_t>(stride * stride));
  for (int64_t row = 0; row < count; row++) {
    std::copy_n(projected.data() + row * capacity, count, lower.data() + row * stride);
  }
  SymmetricEigenvalues one(count);
  one.add(lower.data(), stride);
  return one.solve()[0][0];
}

} // namespace prism
