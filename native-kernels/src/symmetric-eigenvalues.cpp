// Householder reduction, then implicit QL as in EISPACK's imtql1; the same steps as
// src/kernels/reference/symmetric-eigenvalues.ts.
#include "symmetric-eigenvalues.h"
#include "operations.h"
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace prism {

namespace {

// QL sweeps allowed for one eigenvalue; two are usual and EISPACK allows 30.
constexpr int MAX_SWEEPS = 60;

// The first index from `first` on whose coupling to the next one is negligible.
int64_t splitPoint(const double *d, const double *e, int64_t first, int64_t n) {
  int64_t end = first;
  while (end < n - 1) {
    const double size = std::fabs(d[end]) + std::fabs(d[end + 1]);
    if (std::fabs(e[end]) <= std::numeric_limits<double>::epsilon() * size) break;
    end++;
  }
  return end;
}

// One implicit QL sweep over first … end with Wilkinson's shift.
void qlSweep(double *d, double *e, int64_t first, int64_t end) {
  const double ratio = (d[first + 1] - d[first]) / (2 * e[first]);
  const double root = std::sqrt(ratio * ratio + 1);
  double g = d[end] - d[first] + e[first] / (ratio >= 0 ? ratio + root : ratio - root);
  double sine = 1, cosine = 1, shift = 0;
  for (int64_t i = end - 1; i >= first; i--) {
    const double f = sine * e[i];
    const double b = cosine * e[i];
    const double length = std::sqrt(f * f + g * g);
    e[i + 1] = length;
    if (length == 0) {
      d[i + 1] -= shift;
      e[end] = 0;
      return;
    }
    const double inverse = 1 / length;
    sine = f * inverse;
    cosine = g * inverse;
    g = d[i + 1] - shift;
    const double t = (d[i] - g) * sine + 2 * cosine * b;
    shift = sine * t;
    d[i + 1] = g + shift;
    g = cosine * t - b;
  }
  d[first] -= shift;
  e[first] = g;
  e[end] = 0;
}

// e[i] couples i and i + 1; both arrays are overwritten.
void implicitQl(double *d, double *e, int64_t n) {
  for (int64_t first = 0; first < n; first++) {
    for (int sweeps = 0;; sweeps++) {
      const int64_t end = splitPoint(d, e, first, n);
      if (end == first) break;
      if (sweeps == MAX_SWEEPS) throw NoConvergence();
      qlSweep(d, e, first, end);
    }
  }
}

} // namespace

std::vector<double> symmetricEigenvalues(double *lower, int64_t order, int64_t stride) {
  const size_t n = static_cast<size_t>(order);
  std::vector<double> diagonal(n), offDiagonal(n + 1), work(4 * n);
  kernels().tridiagonalize(lower, order, stride, diagonal.data(), offDiagonal.data(), work.data());
  // The reduction leaves the coupling of i − 1 and i at i.
  implicitQl(diagonal.data(), offDiagonal.data() + 1, order);
  std::sort(diagonal.begin(), diagonal.end(), std::greater<double>());
  return diagonal;
}

} // namespace prism
