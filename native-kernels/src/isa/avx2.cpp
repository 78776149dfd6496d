// The kernels for AVX2 and FMA. Everything that is not a kernel is included before the instruction set is switched on, so
// that no inline function of a header is compiled for it.
#include "../kernels.h"
#if defined(__x86_64__)
#define PRISM_VECTOR_BYTES 32
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2", "fma")
#endif
namespace prism {
namespace {
#include "../kernels/all.h"
} // namespace
} // namespace prism
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
namespace prism {
const Kernels AVX2_KERNELS = {"AVX2 and FMA", PRISM_KERNELS};
} // namespace prism
#endif
