// The C ABI that src/kernels/native.ts declares. No exception leaves it: the status says what went wrong. Callers have
// checked lengths and offsets.
#include "draw-tokens.h"
#include "feedback.h"
#include "operations.h"
#include "round-trip.h"
#include "score-rows.h"
#include <exception>
#include <new>
#include <vector>

#if defined(_WIN32)
#define PRISM_EXPORT extern "C" __declspec(dllexport)
#else
#define PRISM_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace {

// Raised with every change of a function below or of what it computes.
constexpr int32_t ABI_VERSION = 5;

enum Status : int32_t { OK = 0, OUT_OF_MEMORY = 1, NO_CONVERGENCE = 2, FAILED = 3 };

template <typename Work> int32_t guarded(const Work &work) {
  try {
    work();
    return OK;
  } catch (const std::bad_alloc &) {
    return OUT_OF_MEMORY;
  } catch (const prism::NoConvergence &) {
    return NO_CONVERGENCE;
  } catch (const std::exception &) {
    return FAILED;
  }
}

} // namespace

PRISM_EXPORT int32_t prism_abi_version(void) { return ABI_VERSION; }

PRISM_EXPORT const char *prism_isa(void) { return prism::kernels().isa; }

// nonFinite: one number.
PRISM_EXPORT int32_t prism_moments(const float *data, int64_t rows, int64_t columns, int32_t threads, double *rowPower,
                                   double *columnPower, double *nonFinite) {
  return guarded([&] {
    *nonFinite = static_cast<double>(prism::moments({data, rows, columns}, threads, rowPower, columnPower));
  });
}

// sums: power, errors at 2, 3, 4 and 6 bits, near, weights in blocks that are not all zero.
PRISM_EXPORT int32_t prism_osqe(const float *data, int64_t rows, int64_t columns, int32_t threads, double *sums) {
  return guarded([&] {
    const prism::OsqeSums found = prism::osqe({data, rows, columns}, threads);
    sums[0] = found.power;
    for (int bits = 0; bits < 4; bits++) sums[1 + bits] = found.error[bits];
    sums[5] = found.nearThreshold;
    sums[6] = found.onGrid;
  });
}

PRISM_EXPORT int32_t prism_window_eigenvalues(const float *data, int64_t rows, int64_t columns, int64_t size,
                                              const int64_t *columnOffsets, int64_t count, int64_t rowOffset,
                                              int32_t threads, double *values) {
  return guarded([&] {
    prism::windowEigenvalues({data, rows, columns}, size, columnOffsets, count, rowOffset, threads, values);
  });
}

PRISM_EXPORT int32_t prism_sigma_max(const float *data, int64_t rows, int64_t columns, int32_t threads, double *sigma) {
  return guarded([&] { *sigma = prism::sigmaMax({data, rows, columns}, threads); });
}

PRISM_EXPORT int32_t prism_decode(int32_t brain, const uint8_t *from, int64_t count, int32_t threads, float *to) {
  return guarded([&] { prism::decode(brain != 0, from, count, threads, to); });
}

// Functions are addresses in ggml's library, 0 where a type needs none. The source is described by the first of
// `typeCount` + 1 types. nonFinite: one number.
PRISM_EXPORT int32_t prism_round_trip(uint64_t quantizeChunk, const uint8_t *data, int64_t rows, int64_t columns,
                                      int64_t bandRows, int64_t typeCount, const int32_t *ids, const int64_t *rowBytes,
                                      const uint64_t *toFloat, const float *importance, double *power, double *errors,
                                      double *nonFinite) {
  return guarded([&] {
    std::vector<prism::StoredType> types;
    for (int64_t at = 0; at <= typeCount; at++) {
      types.push_back({ids[at], rowBytes[at], reinterpret_cast<prism::ToFloat>(toFloat[at])});
    }
    const auto quantize = reinterpret_cast<prism::QuantizeChunk>(quantizeChunk);
    const prism::RoundTrip job = {quantize, data, types[0], rows, columns, bandRows, types.data() + 1, typeCount, importance};
    *nonFinite = static_cast<double>(prism::roundTrip(job, power, errors));
  });
}

PRISM_EXPORT int32_t prism_score_rows(int32_t mode, const float *logits, int64_t vocabSize, int64_t sequences,
                                      int64_t rowsPerSequence, int64_t scoredPerSequence, const int32_t *targets,
                                      uint16_t *records, int32_t threads, double *nll, double *referenceNll, double *kld,
                                      uint8_t *sameTop) {
  return guarded([&] {
    const prism::ScoreTask task = {static_cast<prism::ScoreMode>(mode), logits, vocabSize, sequences, rowsPerSequence,
                                   scoredPerSequence, targets, records, nll, referenceNll, kld, sameTop};
    prism::scoreRows(task, threads);
  });
}

// One token per row.
PRISM_EXPORT int32_t prism_draw_tokens(const float *logits, int64_t rows, int64_t vocabSize, const double *uniforms,
                                       int32_t threads, int32_t *tokens) {
  return guarded([&] { prism::drawTokens(logits, rows, vocabSize, uniforms, threads, tokens); });
}

PRISM_EXPORT int64_t prism_moments_length(int64_t order) { return prism::momentsLength(order); }

// Inputs are an address in the engine's memory.
PRISM_EXPORT int32_t prism_add_moments(const float *inputs, int64_t rows, int64_t columns, int64_t stride, int32_t threads,
                                       float *moments) {
  return guarded([&] { prism::addMoments(inputs, rows, columns, stride, threads, moments); });
}

PRISM_EXPORT int32_t prism_feedback_factor(const float *moments, int64_t order, double shrinkage, int32_t threads,
                                           float *feedback, float *pivots) {
  return guarded([&] {
    if (!prism::feedbackFactor(moments, order, shrinkage, threads, feedback, pivots)) throw prism::NoConvergence();
  });
}

// What is described twice is the source and the target. With `measure` the error of what stands in `packed` is summed.
PRISM_EXPORT int32_t prism_feedback(uint64_t quantizeChunk, const uint8_t *data, int64_t rows, int64_t columns,
                                    int64_t blockWeights, const int32_t *ids, const int64_t *rowBytes,
                                    const uint64_t *toFloat, const float *importance, const float *feedback,
                                    const float *pivots, int32_t measure, int32_t threads, uint8_t *packed, double *error) {
  return guarded([&] {
    const auto type = [&](int at) {
      return prism::StoredType{ids[at], rowBytes[at], reinterpret_cast<prism::ToFloat>(toFloat[at])};
    };
    const auto quantize = reinterpret_cast<prism::QuantizeChunk>(quantizeChunk);
    const prism::Feedback job = {quantize, data, type(0), type(1), blockWeights, rows, columns, importance, feedback, pivots};
    *error = measure != 0 ? prism::inputError(job, threads, packed) : prism::quantizeWithFeedback(job, threads, packed);
  });
}

// For bench/: `rounds` of multiply-adds in registers; returns the floating-point operations done.
PRISM_EXPORT double prism_peak(int64_t rounds, double *sink) { return prism::kernels().peak(rounds, sink); }

// For bench/: read `length` numbers once.
PRISM_EXPORT double prism_read(const float *data, int64_t length) { return prism::kernels().readAll(data, length); }
