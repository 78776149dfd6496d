// Quantizing with error feedback (GPTQ, Frantar et al. 2022, in the form of QuIP's LDLQ): the error of each column is made
// up for by the columns after it, as far as their inputs vary together.
#pragma once
#include "kernels.h"
#include "round-trip.h"
#include <cstdint>

namespace prism {

// Second moments Σ x·xᵀ of inputs, below the diagonal and on it, in strips of GRAM_STRIP columns: a strip has the rows from
// its first column on.
constexpr int64_t GRAM_STRIP = gramTileOf<float>();
int64_t momentsLength(int64_t order);

// Add rows of inputs, `stride` floats apart.
void addMoments(const float *inputs, int64_t rows, int64_t columns, int64_t stride, int threads, float *moments);

// R of H = (1 − shrinkage)·Σ + shrinkage·diag Σ = R·Rᵀ, R upper triangular: feedback[j·order + k] = R(k, j) / R(j, j) for
// k < j, the rest of a row is 0, and pivots[j] = R(j, j). An input that never varied counts as one that hardly does.
// Returns false where H is not positive definite.
bool feedbackFactor(const float *moments, int64_t order, double shrinkage, int threads, float *feedback, float *pivots);

struct Feedback {
  QuantizeChunk quantizeChunk;
  const uint8_t *data;
  StoredType source, target;
  // Weights of a block of the target.
  int64_t blockWeights;
  int64_t rows, columns;
  // One for each column, handed to ggml.
  const float *importance;
  const float *feedback, *pivots;
};

// Quantize; returns e·H·eᵀ, summed over rows, of the error e. Not finite: weights or scales were not, and what stands in
// `packed` is of no use.
double quantizeWithFeedback(const Feedback &job, int threads, uint8_t *packed);

// e·H·eᵀ, summed over rows, of what stands in `packed`.
double inputError(const Feedback &job, int threads, const uint8_t *packed);

} // namespace prism
