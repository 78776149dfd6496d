// Which instruction set, decided when the library is first used.
#include "kernels.h"
#include <cstdlib>
#include <cstring>

namespace prism {

namespace {

const Kernels &choose() {
  // PRISM_ISA=avx2 or baseline holds a wider processor back, to test and to measure the other kernels.
  const char *limit = std::getenv("PRISM_ISA");
  if (limit != nullptr && std::strcmp(limit, "baseline") == 0) return BASELINE_KERNELS;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (wide && (limit == nullptr || std::strcmp(limit, "avx2") != 0)) return AVX512_KERNELS;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return AVX2_KERNELS;
#endif
  return BASELINE_KERNELS;
}

} // namespace

const Kernels &kernels() {
  static const Kernels &chosen = choose();
  return chosen;
}

} // namespace prism
