// The token where the cumulative probability passes a number: sums of blocks first, then the weights of one block.
#include "draw-tokens.h"
#include "kernels.h"
#include "parallel.h"
#include <algorithm>
#include <cmath>

namespace prism {

namespace {

constexpr int32_t NOT_DRAWN = -1;
// The same as in TypeScript: the sums are rounded alike.
constexpr int64_t BLOCK = 1024;

bool hasNaN(const float *logits, int64_t length) {
  int64_t count = 0;
  for (int64_t i = 0; i < length; i++) count += logits[i] != logits[i];
  return count > 0;
}

int32_t drawToken(const float *logits, int64_t length, double uniform) {
  const double max = kernels().logitsRange(logits, length).max;
  if (!std::isfinite(max) || hasNaN(logits, length)) return NOT_DRAWN;
  std::vector<double> sums;
  double sum = 0;
  for (int64_t from = 0; from < length; from += BLOCK) {
    sums.push_back(kernels().sumOfExponentials(logits + from, std::min(BLOCK, length - from), max));
    sum += sums.back();
  }
  double left = uniform * sum;
  int32_t last = 0;
  for (int64_t from = 0; from < length; from += BLOCK) {
    const double share = sums[static_cast<size_t>(from / BLOCK)];
    if (share == 0) continue;
    if (left >= share) {
      left -= share;
      last = static_cast<int32_t>(from);
      continue;
    }
    const int64_t end = std::min(length, from + BLOCK);
    for (int64_t i = from; i < end; i++) {
      const double weight = std::exp(logits[i] - max);
      if (weight == 0) continue;
      last = static_cast<int32_t>(i);
      left -= weight;
      if (left < 0) return last;
    }
    // the rounding of the differences left a remainder
    return last;
  }
  // the same, of the blocks: the likeliest of the last one that counts
  return static_cast<int32_t>(last + std::distance(logits + last, std::max_element(logits + last, logits + std::min(length, last + BLOCK))));
}

} // namespace

void drawTokens(const float *logits, int64_t rows, int64_t vocabSize, const double *uniforms, int threads, int32_t *tokens) {
  parallelFor(rows, threads, [&](int64_t row) {
    tokens[row] = drawToken(logits + row * vocabSize, vocabSize, uniforms[row]);
  });
}

} // namespace prism
