// Which instruction set, decided when the library is first used.
#include "kernels.h"
#include <cstdlib>
#include <cstring>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace prism {

namespace {

#if defined(__x86_64__)
struct Offered {
  bool avx2 = false;
  bool avx512 = false;
};

// Asked of the processor itself: __builtin_cpu_supports says no to everything in a library that zig linked.
Offered offered() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return {};
  const bool fma = c & (1u << 12), saves = c & (1u << 27), avx = c & (1u << 28);
  if (!saves || !avx || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return {};
  const unsigned features = b;
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0)); // the registers that the system saves
  const bool ymm = (low & 0x06) == 0x06, zmm = (low & 0xe6) == 0xe6;
  const unsigned wide = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; // f, dq, bw, vl
  Offered found;
  found.avx2 = ymm && fma && (features & (1u << 5));
  found.avx512 = found.avx2 && zmm && (features & wide) == wide;
  return found;
}
#endif

const Kernels &choose() {
  // PRISM_ISA=avx2 or baseline holds a wider processor back, to test and to measure the other kernels.
  const char *limit = std::getenv("PRISM_ISA");
  if (limit != nullptr && std::strcmp(limit, "baseline") == 0) return BASELINE_KERNELS;
#if defined(__x86_64__)
  const Offered has = offered();
  if (has.avx512 && (limit == nullptr || std::strcmp(limit, "avx2") != 0)) return AVX512_KERNELS;
  if (has.avx2) return AVX2_KERNELS;
#endif
  return BASELINE_KERNELS;
}

} // namespace

const Kernels &kernels() {
  static const Kernels &chosen = choose();
  return chosen;
}

} // namespace prism
