// Eigenvalues of symmetric matrices of one order without eigenvectors: Householder reduction of each, then QL iteration on
// up to EIGEN_LANES tridiagonal ones at once. Backward stable: a value is off by a few ulps of the largest one, in 32 bits by
// up to 1e-6 of it.
#pragma once
#include "kernels.h"
#include <cstdint>
#include <vector>

namespace prism {

class SymmetricEigenvalues {
public:
  explicit SymmetricEigenvalues(int64_t order);

  // Reduce one more matrix, at most EIGEN_LANES in all. Only the lower triangle is read, of rows `stride` apart; all of
  // its stride rows are overwritten.
  void add(double *lower, int64_t stride);
  void add(float *lower, int64_t stride);
  // The eigenvalues of matrix 0, 1, … as they were added, descending. Throws NoConvergence.
  std::vector<std::vector<double>> solve();

private:
  template <typename Number> void store(const std::vector<Number> &diagonal, const std::vector<Number> &offDiagonal);

  const int64_t order;
  int64_t count = 0;
  // order × EIGEN_LANES.
  std::vector<double> diagonals, squares;
};

} // namespace prism
