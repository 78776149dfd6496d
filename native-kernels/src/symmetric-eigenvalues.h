// Eigenvalues of a symmetric matrix without eigenvectors.
#pragma once
#include <cstdint>
#include <vector>

namespace prism {

// Descending. Only the lower triangle is read, rows `stride` apart; it is overwritten. Throws NoConvergence.
std::vector<double> symmetricEigenvalues(double *lower, int64_t order, int64_t stride);

} // namespace prism
