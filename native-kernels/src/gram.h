// Gram matrices in 64 bits, summed over panels that fit the cache.
#pragma once
#include "kernels.h"
#include <algorithm>
#include <cstdint>
#include <vector>

namespace prism {

// Depth of a panel: with 16 doubles to a tile, two tiles are 32 KiB.
constexpr int64_t PANEL_DEPTH = 128;

// The lower triangle of Σ over k of v(k)·v(k)ᵀ, for vectors v(k) of `order` weights.
class GramMatrix {
public:
  explicit GramMatrix(int64_t order)
      : stride((order + GRAM_TILE - 1) / GRAM_TILE * GRAM_TILE), order(order),
        sums(static_cast<size_t>(stride * stride), 0.0) {}

  // Add k = 0 … depth − 1; weight(i, k) is component i of v(k).
  template <typename Weight> void add(int64_t depth, const Weight &weight) {
    panel.resize(static_cast<size_t>(stride * PANEL_DEPTH));
    for (int64_t first = 0; first < depth; first += PANEL_DEPTH) {
      const int64_t some = std::min(PANEL_DEPTH, depth - first);
      for (int64_t i = 0; i < stride; i++) {
        double *to = panel.data() + i / GRAM_TILE * some * GRAM_TILE + i % GRAM_TILE;
        for (int64_t k = 0; k < some; k++) to[k * GRAM_TILE] = i < order ? weight(i, first + k) : 0.0;
      }
      kernels().gram(panel.data(), stride, some, sums.data());
    }
  }

  double *lower() { return sums.data(); }

  const int64_t stride;

private:
  const int64_t order;
  std::vector<double> sums;
  std::vector<double> panel;
};

} // namespace prism
