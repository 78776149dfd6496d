// Eigenvalues of the Gram matrices of square windows: the squares of their singular values.
#include "gram.h"
#include "operations.h"
#include "parallel.h"
#include "symmetric-eigenvalues.h"
#include <algorithm>

namespace prism {

void windowEigenvalues(const Matrix &matrix, int64_t size, const int64_t *columnOffsets, int64_t count,
                       int64_t rowOffset, int threads, double *values) {
  parallelFor((count + EIGEN_LANES - 1) / EIGEN_LANES, threads, [&](int64_t group) {
    const int64_t first = group * EIGEN_LANES, end = std::min(count, first + EIGEN_LANES);
    SymmetricEigenvalues together(size);
    for (int64_t window = first; window < end; window++) {
      const float *from = matrix.data + rowOffset * matrix.columns + columnOffsets[window];
      GramMatrix gram(size);
      gram.add(size, [&](int64_t row, int64_t column) { return static_cast<double>(from[row * matrix.columns + column]); });
      together.add(gram.lower(), gram.stride);
    }
    double *to = values + first * size;
    for (const std::vector<double> &found : together.solve()) {
      to = std::transform(found.begin(), found.end(), to, [](double value) { return std::max(0.0, value); });
    }
  });
}

} // namespace prism
