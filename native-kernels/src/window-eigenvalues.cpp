// Eigenvalues of the Gram matrices of square windows: the squares of their singular values. In 32 bits, and again in 64
// where the larger half of them reaches so far down that rounding could be felt there.
#include "gram.h"
#include "operations.h"
#include "parallel.h"
#include "symmetric-eigenvalues.h"
#include <algorithm>
#include <cmath>

namespace prism {

namespace {

// Share of the largest eigenvalue that the middle one must have: 32 bits leave it 1e-4 of itself at worst.
constexpr double LEAST_MIDDLE = 0x1p-10;

struct Window {
  const float *from;
  int64_t size, columns;
};

// A power of two that brings the largest weight near 1, so that powers stay in the range of 32 bits.
double scaleOf(const Window &window) {
  float largest = 0;
  for (int64_t row = 0; row < window.size; row++) {
    const float *from = window.from + row * window.columns;
    for (int64_t column = 0; column < window.size; column++) largest = std::max(largest, std::fabs(from[column]));
  }
  return largest > 0 ? std::exp2(-std::floor(std::log2(static_cast<double>(largest)))) : 1;
}

template <typename Number> void addWindow(const Window &window, double scale, SymmetricEigenvalues &together) {
  GramMatrix<Number> gram(window.size);
  gram.add(window.size, [&](int64_t row, int64_t column) {
    return static_cast<Number>(window.from[row * window.columns + column] * scale);
  });
  together.add(gram.lower(), gram.stride);
}

bool needsMore(const std::vector<double> &values) {
  return !values.empty() && values[values.size() / 2] < LEAST_MIDDLE * values[0];
}

std::vector<double> solveIn64Bits(const Window &window, double scale) {
  SymmetricEigenvalues alone(window.size);
  addWindow<double>(window, scale, alone);
  return alone.solve()[0];
}

} // namespace

void windowEigenvalues(const Matrix &matrix, int64_t size, const int64_t *columnOffsets, int64_t count,
                       int64_t rowOffset, int threads, double *values) {
  parallelFor((count + EIGEN_LANES - 1) / EIGEN_LANES, threads, [&](int64_t group) {
    const int64_t first = group * EIGEN_LANES, end = std::min(count, first + EIGEN_LANES);
    SymmetricEigenvalues together(size);
    std::vector<Window> windows;
    std::vector<double> scales;
    for (int64_t at = first; at < end; at++) {
      windows.push_back({matrix.data + rowOffset * matrix.columns + columnOffsets[at], size, matrix.columns});
      scales.push_back(scaleOf(windows.back()));
      addWindow<float>(windows.back(), scales.back(), together);
    }
    std::vector<std::vector<double>> found = together.solve();
    double *to = values + first * size;
    for (size_t at = 0; at < found.size(); at++) {
      if (needsMore(found[at])) found[at] = solveIn64Bits(windows[at], scales[at]);
      const double back = 1 / (scales[at] * scales[at]);
      to = std::transform(found[at].begin(), found[at].end(), to,
                          [back](double value) { return std::max(0.0, value) * back; });
    }
  });
}

} // namespace prism
