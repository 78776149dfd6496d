#include "krylov-basis.h"
#include "parallel.h"
#include "symmetric-eigenvalues.h"
#include <algorithm>
#include <cmath>

namespace prism {

namespace {

// Share of its length that a vector must keep beside the others of its block to count as a new direction.
constexpr double INDEPENDENT = 1e-10;

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

// Modified Gram-Schmidt inside a block; vectors without a direction of their own become 0. False where all do.
bool orthonormalize(double *block, int64_t order) {
  const Kernels &kernel = kernels();
  bool any = false;
  for (int64_t i = 0; i < KRYLOV_BLOCK; i++) {
    double *vector = block + i * order;
    const double before = std::sqrt(kernel.dot(vector, vector, order));
    for (int pass = 0; pass < 2; pass++) {
      for (int64_t j = 0; j < i; j++) {
        const double *known = block + j * order;
        kernel.axpy(-kernel.dot(known, vector, order), known, vector, order);
      }
    }
    const double after = std::sqrt(kernel.dot(vector, vector, order));
    const bool independent = after > INDEPENDENT * before;
    const double factor = independent ? 1 / after : 0;
    for (int64_t at = 0; at < order; at++) vector[at] *= factor;
    any = any || independent;
  }
  return any;
}

} // namespace

KrylovBasis::KrylovBasis(int64_t order, int64_t maxBlocks)
    : order(order), capacity(maxBlocks * KRYLOV_BLOCK), projected(static_cast<size_t>(capacity * capacity), 0.0) {}

void KrylovBasis::addStart(uint32_t seed) {
  Random random(seed);
  std::vector<double> start(static_cast<size_t>(KRYLOV_BLOCK * order));
  for (double &value : start) value = 2 * random.next() - 1;
  add(start.data(), 1);
}

void KrylovBasis::removeBasis(double *image, int threads, double *coefficients) const {
  const Kernels &kernel = kernels();
  parallelFor(KRYLOV_BLOCK, threads, [&](int64_t k) {
    double *vector = image + k * order;
    std::vector<double> products(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; i++) {
      products[static_cast<size_t>(i)] = kernel.dot(vectors.data() + i * order, vector, order);
    }
    for (int64_t i = 0; i < count; i++) {
      const double product = products[static_cast<size_t>(i)];
      kernel.axpy(-product, vectors.data() + i * order, vector, order);
      if (coefficients != nullptr) coefficients[i * KRYLOV_BLOCK + k] = product;
    }
  });
}

void KrylovBasis::project(double *image, int threads) {
  std::vector<double> coefficients(static_cast<size_t>(count * KRYLOV_BLOCK));
  removeBasis(image, threads, coefficients.data());
  // The basis vector i and the last block's vector k meet in row first + k, column i of the lower triangle.
  const int64_t first = count - KRYLOV_BLOCK;
  for (int64_t k = 0; k < KRYLOV_BLOCK; k++) {
    for (int64_t i = 0; i <= first + k; i++) {
      const double product = coefficients[static_cast<size_t>(i * KRYLOV_BLOCK + k)];
      projected[static_cast<size_t>((first + k) * capacity + i)] = product;
    }
  }
}

bool KrylovBasis::add(double *image, int threads) {
  // Twice, so that what rounding left of the basis after the first pass is gone too.
  removeBasis(image, threads, nullptr);
  if (!orthonormalize(image, order)) return false;
  removeBasis(image, threads, nullptr);
  if (!orthonormalize(image, order)) return false;
  vectors.insert(vectors.end(), image, image + KRYLOV_BLOCK * order);
  count += KRYLOV_BLOCK;
  return true;
}

double KrylovBasis::largestRitzValue() const {
  std::vector<double> lower(static_cast<size_t>(count * count));
  for (int64_t row = 0; row < count; row++) {
    std::copy_n(projected.data() + row * capacity, count, lower.data() + row * count);
  }
  return symmetricEigenvalues(lower.data(), count, count)[0];
}

} // namespace prism
