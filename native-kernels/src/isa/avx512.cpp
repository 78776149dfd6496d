// The kernels for AVX-512. Everything that is not a kernel is included before the instruction set is switched on, so
// that no inline function of a header is compiled for it.
#include "../kernels.h"
#if defined(__x86_64__)
#define PRISM_VECTOR_BYTES 64
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma", "prefer-vector-width=512")
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
const Kernels AVX512_KERNELS = {"AVX-512", PRISM_KERNELS};
} // namespace prism
#endif
