// Block Lanczos on a symmetric matrix that is known by its products alone, for its largest eigenvalue.
#pragma once
#include "kernels.h"
#include <cstddef>
#include <cstdint>
#include <vector>

namespace prism {

// Blocks are orthogonal to the two before them only. What rounding leaves of the older ones gives a converged eigenvalue a
// second time (Parlett, The Symmetric Eigenvalue Problem, 13.8), which is no harm where only the largest one is asked for.
class BlockLanczos {
public:
  BlockLanczos(int64_t order, int64_t maxBlocks);

  // Begin with uniform numbers in [−1, 1) from a seed.
  void start(uint32_t seed);
  // KRYLOV_BLOCK × order.
  const double *lastBlock() const { return block.data(); }
  bool isFull() const { return count == capacity; }
  // Take the product of the matrix and the last block, and make of it the next one; false where there is none.
  bool add(std::vector<double> image);
  // Largest eigenvalue of the matrix projected on the blocks that have a product.
  double largestRitzValue() const;

private:
  double &at(int64_t row, int64_t column) { return projected[static_cast<std::size_t>(row * capacity + column)]; }

  const int64_t order, capacity;
  // Vectors that have a product.
  int64_t count = 0;
  std::vector<double> block, before;
  // Lower triangle of the projected matrix.
  std::vector<double> projected;
};

} // namespace prism
