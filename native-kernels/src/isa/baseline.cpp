// The kernels for what every processor of the architecture has: SSE2 on x86-64, NEON on arm64.
#include "../kernels.h"
#define PRISM_VECTOR_BYTES 16
#if defined(__x86_64__)
#define PRISM_BASELINE "SSE2"
#elif defined(__aarch64__)
#define PRISM_BASELINE "NEON"
#else
#define PRISM_BASELINE "portable"
#endif
namespace prism {
namespace {
#include "../kernels/all.h"
} // namespace
const Kernels BASELINE_KERNELS = {PRISM_BASELINE, PRISM_KERNELS};
} // namespace prism
