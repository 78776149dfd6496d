// The C ABI that src/kernels/native.ts declares. No exception leaves it: the status says what went wrong. Callers have
// checked lengths and offsets.
#include "operations.h"
#include <exception>
#include <new>

#if defined(_WIN32)
#define PRISM_EXPORT extern "C" __declspec(dllexport)
#else
#define PRISM_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace {

// Raised with every change of a function below or of what it computes.
constexpr int32_t ABI_VERSION = 1;

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

// For bench/: `rounds` of multiply-adds in registers; returns the floating-point operations done.
PRISM_EXPORT double prism_peak(int64_t rounds, double *sink) { return prism::kernels().peak(rounds, sink); }
