// Eigenvalues of the Gram matrices of square windows: the squares of their singular values.
#include "gram.h"
#include "operations.h"
#include "parallel.h"
#include "symmetric-eigenvalues.h"
#include <algorithm>

namespace prism {

void windowEigenvalues(const Matrix &matrix, int64_t size, const int64_t *columnOffsets, int64_t count,
                       int64_t rowOffset, int threads, double *values) {
  parallelFor(count, threads, [&](int64_t window) {
    const float *from = matrix.data + rowOffset * matrix.columns + columnOffsets[window];
    GramMatrix gram(size);
    gram.add(size, [&](int64_t row, int64_t column) { return static_cast<double>(from[row * matrix.columns + column]); });
    const std::vector<double> found = symmetricEigenvalues(gram.lower(), size, gram.stride);
    std::transform(found.begin(), found.end(), values + window * size, [](double value) { return std::max(0.0, value); });
  });
}

} // namespace prism
