// The operations of src/kernels/backend.ts on whole matrices. Results do not depend on the number of threads.
#pragma once
#include <cstdint>
#include <stdexcept>
#include "kernels.h"

namespace prism {

struct Matrix {
  const float *data;
  int64_t rows, columns;
};

// The implicit QL iteration did not end, as it does not where weights are NaN.
struct NoConvergence : std::runtime_error {
  NoConvergence() : std::runtime_error("no convergence") {}
};

// Returns how many weights are not finite.
int64_t moments(const Matrix &matrix, int threads, double *rowPower, double *columnPower);

OsqeSums osqe(const Matrix &matrix, int threads);

// `values`: count × size, descending, clamped at 0.
void windowEigenvalues(const Matrix &matrix, int64_t size, const int64_t *columnOffsets, int64_t count,
                       int64_t rowOffset, int threads, double *values);

double sigmaMax(const Matrix &matrix, int threads);

// f16, or bf16 where `brain`; the bytes need not be aligned.
void decode(bool brain, const uint8_t *from, int64_t count, int threads, float *to);

} // namespace prism
