// Largest singular value: from the whole Gram matrix where that is small, else by block Lanczos iteration on AᵀA,
// which lets one pass over A do for a product. src/kernels/reference/sigma-max.ts keeps the whole basis orthogonal.
#include "block-lanczos.h"
#include "gram.h"
#include "operations.h"
#include "parallel.h"
#include "row-bands.h"
#include "symmetric-eigenvalues.h"
#include <cmath>
#include <vector>

namespace prism {

namespace {

// Gaussian matrices, which have no gap, converge in 20 to 30 blocks (measured, 1024 × 1024 to 4096 × 4096).
constexpr int64_t MAX_BLOCKS = 40;
// As in the reference, where its origin is told.
constexpr int64_t DIRECT_ORDER = 256;
// Relative growth of σ₁² under which the iteration ends. Gaussian matrices have 3e-6 of σ₁ left then (measured).
constexpr double CONVERGED = 1e-5;

// Bands have 64-bit sums of their own; inside, rows are added up in 32 bits, few enough to keep six digits.
constexpr int64_t MAX_BANDS = 16;
constexpr int64_t ROWS_IN_32_BITS = 128;

// Of the power of two that weights are scaled by: vectors scaled by it keep all their bits in 32-bit numbers.
constexpr double LARGEST_EXPONENT = 120;

// Add the products of k = first … first + depth − 1 along the longer side.
void addToGram(GramMatrix<double> &gram, const Matrix &matrix, int64_t first, int64_t depth) {
  const auto [data, rows, columns] = matrix;
  if (rows <= columns) {
    gram.add(depth, [from = data + first, columns = columns](int64_t i, int64_t k) {
      return static_cast<double>(from[i * columns + k]);
    });
  } else {
    gram.add(depth, [from = data + first * columns, columns = columns](int64_t i, int64_t k) {
      return static_cast<double>(from[k * columns + i]);
    });
  }
}

double largestOfGram(const Matrix &matrix, int threads) {
  const int64_t order = std::min(matrix.rows, matrix.columns);
  const RowBands bands(std::max(matrix.rows, matrix.columns), MAX_BANDS, PANEL_DEPTH);
  std::vector<GramMatrix<double>> grams(static_cast<size_t>(bands.count), GramMatrix<double>(order));
  parallelFor(bands.count, threads, [&](int64_t band) {
    addToGram(grams[static_cast<size_t>(band)], matrix, bands.start(band), bands.size(band));
  });
  GramMatrix<double> &total = grams[0];
  for (size_t band = 1; band < grams.size(); band++) {
    kernels().axpy(1, grams[band].lower(), total.lower(), total.stride * total.stride);
  }
  SymmetricEigenvalues one(order);
  one.add(total.lower(), total.stride);
  return one.solve()[0][0];
}

// scale²·AᵀA·X for KRYLOV_BLOCK vectors.
std::vector<double> applyGram(const Matrix &matrix, const double *vectors, double scale, int threads) {
  const int64_t columns = matrix.columns;
  const size_t length = static_cast<size_t>(KRYLOV_BLOCK * columns);
  std::vector<float> x(length);
  for (size_t at = 0; at < length; at++) x[at] = static_cast<float>(vectors[at] * scale);
  const RowBands bands(matrix.rows, MAX_BANDS, ROWS_IN_32_BITS);
  std::vector<std::vector<double>> sums(static_cast<size_t>(bands.count));
  parallelFor(bands.count, threads, [&](int64_t band) {
    std::vector<double> &sum = sums[static_cast<size_t>(band)];
    sum.assign(length, 0.0);
    std::vector<float> part(length);
    const int64_t end = bands.start(band) + bands.size(band);
    for (int64_t row = bands.start(band); row < end; row += ROWS_IN_32_BITS) {
      std::fill(part.begin(), part.end(), 0.0f);
      const int64_t some = std::min(ROWS_IN_32_BITS, end - row);
      kernels().applyGram(matrix.data + row * columns, some, columns, static_cast<float>(scale), x.data(), part.data());
      for (size_t at = 0; at < length; at++) sum[at] += static_cast<double>(part[at]);
    }
  });
  std::vector<double> result = std::move(sums[0]);
  for (size_t band = 1; band < sums.size(); band++) {
    kernels().axpy(1, sums[band].data(), result.data(), static_cast<int64_t>(length));
  }
  return result;
}

// Largest eigenvalue of scale²·AᵀA.
double largestByKrylov(const Matrix &matrix, double scale, int threads) {
  BlockLanczos space(matrix.columns, MAX_BLOCKS);
  space.start(static_cast<uint32_t>(matrix.rows * 65537 + matrix.columns));
  double largest = 0;
  for (;;) {
    const bool goesOn = space.add(applyGram(matrix, space.lastBlock(), scale, threads));
    const double previous = largest;
    largest = space.largestRitzValue();
    if (!goesOn || largest - previous <= CONVERGED * largest) return largest;
  }
}

} // namespace

double sigmaMax(const Matrix &matrix, int threads) {
  const int64_t order = std::min(matrix.rows, matrix.columns);
  if (order == 0) return 0;
  if (order <= DIRECT_ORDER) return std::sqrt(std::max(0.0, largestOfGram(matrix, threads)));
  // Powers of 32-bit weights can leave the 32-bit range: the weights are scaled to a norm near 1.
  std::vector<double> rowPower(static_cast<size_t>(matrix.rows)), columnPower(static_cast<size_t>(matrix.columns));
  moments(matrix, threads, rowPower.data(), columnPower.data());
  double power = 0;
  for (const double row : rowPower) power += row;
  if (power == 0) return 0;
  const double exponent = std::min(std::max(-std::floor(std::log2(power) / 2), -LARGEST_EXPONENT), LARGEST_EXPONENT);
  const double scale = std::exp2(exponent);
  return std::sqrt(largestByKrylov(matrix, scale, threads)) / scale;
}

} // namespace prism
