// Stored f16 and bf16 weights as f32.
#include "operations.h"
#include "parallel.h"
#include "row-bands.h"

namespace prism {

namespace {

// Weights a thread takes at once: half a MiB of them.
constexpr int64_t PIECE_WEIGHTS = 1 << 18;

} // namespace

void decode(bool brain, const uint8_t *from, int64_t count, int threads, float *to) {
  const auto kernel = brain ? kernels().decodeBrainHalves : kernels().decodeHalves;
  parallelFor((count + PIECE_WEIGHTS - 1) / PIECE_WEIGHTS, threads, [&](int64_t piece) {
    const int64_t first = piece * PIECE_WEIGHTS;
    kernel(from + 2 * first, to + first, std::min(PIECE_WEIGHTS, count - first));
  });
}

} // namespace prism
