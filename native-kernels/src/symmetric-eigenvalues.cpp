#include "symmetric-eigenvalues.h"
#include "operations.h"
#include <algorithm>
#include <functional>

namespace prism {

SymmetricEigenvalues::SymmetricEigenvalues(int64_t order)
    : order(order), diagonals(static_cast<size_t>(order * EIGEN_LANES), 0.0), squares(diagonals) {}

template <typename Number>
void SymmetricEigenvalues::store(const std::vector<Number> &diagonal, const std::vector<Number> &offDiagonal) {
  for (size_t i = 0; i < diagonal.size(); i++) {
    const size_t at = i * EIGEN_LANES + static_cast<size_t>(count);
    diagonals[at] = diagonal[i];
    // The reduction leaves the coupling of i − 1 and i at i.
    const double coupling = i + 1 < diagonal.size() ? offDiagonal[i + 1] : 0;
    squares[at] = coupling * coupling;
  }
  count++;
}

void SymmetricEigenvalues::add(double *lower, int64_t stride) {
  const size_t n = static_cast<size_t>(order);
  std::vector<double> diagonal(n), offDiagonal(n), work(static_cast<size_t>(5 * stride));
  kernels().tridiagonalize(lower, order, stride, diagonal.data(), offDiagonal.data(), work.data());
  store(diagonal, offDiagonal);
}

void SymmetricEigenvalues::add(float *lower, int64_t stride) {
  const size_t n = static_cast<size_t>(order);
  std::vector<float> diagonal(n), offDiagonal(n), work(static_cast<size_t>(5 * stride));
  kernels().tridiagonalizeFloats(lower, order, stride, diagonal.data(), offDiagonal.data(), work.data());
  store(diagonal, offDiagonal);
}

std::vector<std::vector<double>> SymmetricEigenvalues::solve() {
  if (!kernels().tridiagonalValues(diagonals.data(), squares.data(), order)) throw NoConvergence();
  std::vector<std::vector<double>> values(static_cast<size_t>(count), std::vector<double>(static_cast<size_t>(order)));
  for (size_t lane = 0; lane < values.size(); lane++) {
    for (size_t i = 0; i < values[lane].size(); i++) values[lane][i] = diagonals[i * EIGEN_LANES + lane];
    std::sort(values[lane].begin(), values[lane].end(), std::greater<double>());
  }
  return values;
}

} // namespace prism
