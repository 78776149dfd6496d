// The kernels that are compiled once per instruction set, as a table of functions. Matrices are row-major; threads
// and memory are the callers' business.
#pragma once
#include <cstdint>

namespace prism {

// Numbers in one row of a Gram panel's tile; the order of a panel is padded to a multiple of it.
template <typename Number> constexpr int64_t gramTileOf() { return 128 / sizeof(Number); }
// Vectors of a block of the Krylov iteration.
constexpr int64_t KRYLOV_BLOCK = 4;
constexpr int64_t OSQE_BLOCK = 32;
// Tridiagonal matrices that are solved together.
constexpr int64_t EIGEN_LANES = 8;

struct OsqeSums {
  double power = 0;
  // Squared errors at 2, 3, 4 and 6 bits.
  double error[4] = {0, 0, 0, 0};
  double nearThreshold = 0;
  // Weights in blocks that are not all zero.
  double onGrid = 0;
};

struct LogitsRange {
  float max, min;
  // The first of equals.
  int64_t argmax;
};

// How the 16-bit steps of a logits record are read: ln p = scale·step + minimum, of the steps that are counted.
struct LogitsRecord {
  double scale, minimum;
  // The smallest step that is.
  double counted;
};

// How levels are chosen under scales that are fixed; what belongs to a row lies LANES rows side by side.
struct LevelChoice {
  int64_t columns;
  // Columns that share a scale and an offset: the value of a level is
  // superScale·(scaleStep − scaleZero)·level + superOffset·offsetStep.
  int64_t groupColumns;
  const float *superScale, *superOffset;
  float *scaleStep, *offsetStep;
  float scaleZero;
  // Steps are chosen anew, near those that are given and up to these, on the targets that a group has come to.
  bool search;
  float mostScale, mostOffset;
  // Of columns: what an error there weighs.
  const float *pivots;
  // Levels are the integers from lowest to highest, or those of an ascending table.
  float lowest, highest;
  const float *table;
  int64_t tableCount;
  // Row j: what an error in each column before j asks of column j.
  const float *feedback;
  int64_t feedbackStride;
};

struct Kernels {
  const char *isa;
  // Set both powers; returns how many weights are not finite, which are left out.
  int64_t (*moments)(const float *data, int64_t rows, int64_t columns, double *rowPower, double *columnPower);
  void (*osqe)(const float *data, int64_t rows, int64_t columns, OsqeSums *sums);
  // gram += panelᵀ·panel on and below the diagonal; panel: order / tile tiles of depth × tile.
  void (*gram)(const double *panel, int64_t order, int64_t depth, double *gram);
  void (*gramFloats)(const float *panel, int64_t order, int64_t depth, float *gram);
  // Householder reduction of the lower triangle of stride rows, a multiple of the tile; `work` holds 5·stride.
  void (*tridiagonalize)(double *lower, int64_t order, int64_t stride, double *diagonal, double *offDiagonal,
                         double *work);
  void (*tridiagonalizeFloats)(float *lower, int64_t order, int64_t stride, float *diagonal, float *offDiagonal,
                               float *work);
  // Diagonals of EIGEN_LANES matrices become their eigenvalues; order × EIGEN_LANES each, squares[i] that of the coupling
  // of i and i + 1. False where the iteration did not end.
  bool (*tridiagonalValues)(double *diagonal, double *squares, int64_t order);
  // result += scale·Aᵀ·(A·X); X and result: KRYLOV_BLOCK × columns.
  void (*applyGram)(const float *data, int64_t rows, int64_t columns, float scale, const float *x, float *result);
  double (*dot)(const double *a, const double *b, int64_t length);
  // y += scale·x.
  void (*axpy)(double scale, const double *x, double *y, int64_t length);
  // Multiply-adds of independent 64-bit vectors; returns how many floating-point operations that were.
  double (*peak)(int64_t rounds, double *sink);
  double (*readAll)(const float *data, int64_t length);
  // Of f16 and of bf16; `from` need not be aligned.
  void (*decodeHalves)(const uint8_t *from, float *to, int64_t count);
  void (*decodeBrainHalves)(const uint8_t *from, float *to, int64_t count);
  // Σ importance·x² of a row and Σ importance·(x̂−x)² of two; without an importance it is 1.
  double (*power)(const float *row, int64_t length, const float *importance, int64_t *nonFinite);
  double (*squaredError)(const float *original, const float *restored, int64_t length, const float *importance);
  LogitsRange (*logitsRange)(const float *logits, int64_t length);
  // Σ exp(logit − max).
  double (*sumOfExponentials)(const float *logits, int64_t length, double max);
  // Steps of 1/inverse above min, rounded.
  void (*encodeLogits)(const float *logits, int64_t length, float min, float inverse, uint16_t *steps);
  int64_t (*firstMaximum)(const uint16_t *steps, int64_t length);
  // Σ p·(ln p − logit + normalizer) over the counted steps.
  double (*divergence)(const float *logits, const uint16_t *steps, int64_t length, const LogitsRecord &record,
                       double normalizer);
  // One tile of columns of a Gram matrix, summed on; see kernels/gram.h.
  void (*gramStrip)(const float *panel, int64_t order, int64_t depth, int64_t column, float *result);
  // result −= left·rightᵀ over the depth.
  void (*subtractProducts)(const float *left, int64_t leftStride, int64_t leftRows, const float *right,
                           int64_t rightStride, int64_t rightRows, int64_t depth, float *result, int64_t resultStride);
  // Rows that those below take side by side.
  int64_t lanes;
  // What a block's weights would be if none of them were rounded.
  void (*moveTargets)(int64_t columns, const float *feedback, int64_t feedbackStride, const float *target,
                      const float *weight, float *shift, float *moved);
  void (*chooseLevels)(const LevelChoice &choice, float *target, const float *weight, float *error, float *level);
  // Lessen e·H·eᵀ of what was chosen; see kernels/choose-levels.h.
  void (*refineLevels)(const LevelChoice &choice, int64_t sweeps, const float *factor, const float *powers,
                       const float *weight, const float *target, float *error, float *level, float *distance);
};

// The best of those this processor runs.
const Kernels &kernels();

#if defined(__x86_64__)
extern const Kernels AVX512_KERNELS;
extern const Kernels AVX2_KERNELS;
#endif
extern const Kernels BASELINE_KERNELS;

} // namespace prism
