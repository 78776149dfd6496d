// Gram matrices in 32 or 64 bits, summed over panels that fit the cache.
#pragma once
#include "kernels.h"
#include <algorithm>
#include <cstdint>
#include <vector>

namespace prism {

// Depth of a panel: with 128 bytes to a row, two tiles are 32 KiB.
constexpr int64_t PANEL_DEPTH = 128;

// The lower triangle of Σ over k of v(k)·v(k)ᵀ, for vectors v(k) of `order` weights.
template <typename Number> class GramMatrix {
public:
  explicit GramMatrix(int64_t order)
      : stride((order + TILE - 1) / TILE * TILE), order(order), sums(static_cast<size_t>(stride * stride)) {}

  // Add k = 0 … depth − 1; weight(i, k) is component i of v(k).
  template <typename Weight> void add(int64_t depth, const Weight &weight) {
    panel.resize(static_cast<size_t>(stride * PANEL_DEPTH));
    for (int64_t first = 0; first < depth; first += PANEL_DEPTH) {
      const int64_t some = std::min(PANEL_DEPTH, depth - first);
      for (int64_t i = 0; i < stride; i++) {
        Number *to = panel.data() + i / TILE * some * TILE + i % TILE;
        for (int64_t k = 0; k < some; k++) to[k * TILE] = i < order ? weight(i, first + k) : Number();
      }
      addPanel(panel.data(), stride, some, sums.data());
    }
  }

  Number *lower() { return sums.data(); }

  const int64_t stride;

private:
  static constexpr int64_t TILE = gramTileOf<Number>();

  static void addPanel(const double *panel, int64_t order, int64_t depth, double *gram) {
    kernels().gram(panel, order, depth, gram);
  }
  static void addPanel(const float *panel, int64_t order, int64_t depth, float *gram) {
    kernels().gramFloats(panel, order, depth, gram);
  }

  const int64_t order;
  std::vector<Number> sums, panel;
};

} // namespace prism
