// The kernels that are compiled once per instruction set, as a table of functions. Matrices are row-major; threads
// and memory are the callers' business.
#pragma once
#include <cstdint>

namespace prism {

// Doubles in one row of a Gram panel's tile; the order of a panel is padded to a multiple of it.
constexpr int64_t GRAM_TILE = 16;
// Vectors of a block of the Krylov iteration.
constexpr int64_t KRYLOV_BLOCK = 8;
constexpr int64_t OSQE_BLOCK = 32;

struct OsqeSums {
  double power = 0;
  // Squared errors at 2, 3, 4 and 6 bits.
  double error[4] = {0, 0, 0, 0};
  double nearThreshold = 0;
  // Weights in blocks that are not all zero.
  double onGrid = 0;
};

struct Kernels {
  const char *isa;
  // Set both powers; returns how many weights are not finite, which are left out.
  int64_t (*moments)(const float *data, int64_t rows, int64_t columns, double *rowPower, double *columnPower);
  void (*osqe)(const float *data, int64_t rows, int64_t columns, OsqeSums *sums);
  // gram += panelᵀ·panel on and below the diagonal; panel: order / GRAM_TILE tiles of depth × GRAM_TILE.
  void (*gram)(const double *panel, int64_t order, int64_t depth, double *gram);
  // Householder reduction of the lower triangle; `work` holds 4·order.
  void (*tridiagonalize)(double *lower, int64_t order, int64_t stride, double *diagonal, double *offDiagonal,
                         double *work);
  // result += scale·Aᵀ·(A·X); X and result: KRYLOV_BLOCK × columns.
  void (*applyGram)(const float *data, int64_t rows, int64_t columns, float scale, const float *x, float *result);
  double (*dot)(const double *a, const double *b, int64_t length);
  // y += scale·x.
  void (*axpy)(double scale, const double *x, double *y, int64_t length);
  // Multiply-adds of independent 64-bit vectors; returns how many floating-point operations that were.
  double (*peak)(int64_t rounds, double *sink);
};

// The best of those this processor runs.
const Kernels &kernels();

#if defined(__x86_64__)
extern const Kernels AVX512_KERNELS;
extern const Kernels AVX2_KERNELS;
#endif
extern const Kernels BASELINE_KERNELS;

} // namespace prism
