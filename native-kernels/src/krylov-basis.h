// An orthonormal basis of a block Krylov space of AᵀA, and AᵀA projected on it.
#pragma once
#include "kernels.h"
#include <vector>

namespace prism {

class KrylovBasis {
public:
  KrylovBasis(int64_t order, int64_t maxBlocks);

  // Uniform numbers in [−1, 1) from a seed, orthonormalised.
  void addStart(uint32_t seed);
  const double *lastBlock() const { return vectors.data() + (count - KRYLOV_BLOCK) * order; }
  bool isFull() const { return count == capacity; }

  // Record AᵀA·lastBlock() (KRYLOV_BLOCK × order), and take from it what lies in the basis.
  void project(double *image, int threads);
  // Orthonormalise what is left of the image and append it; false where nothing is left.
  bool add(double *image, int threads);
  // Largest eigenvalue of the projected matrix.
  double largestRitzValue() const;

private:
  // image −= Q·(Qᵀ·image); Qᵀ·image is stored in `coefficients` where given, KRYLOV_BLOCK numbers to a basis vector.
  void removeBasis(double *image, int threads, double *coefficients) const;

  const int64_t order, capacity;
  int64_t count = 0;
  std::vector<double> vectors;
  // Lower triangle of the projected matrix, rows `capacity` apart.
  std::vector<double> projected;
};

} // namespace prism
