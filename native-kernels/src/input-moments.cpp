// Second moments of inputs, and the factor of them that says how columns make up for each other.
#include "feedback.h"
#include "parallel.h"
#include <algorithm>
#include <cmath>
#include <vector>

namespace prism {

namespace {

// Rows of inputs that are packed before they are summed, in panels of a depth that fits the cache.
constexpr int64_t PANEL_DEPTH = 128;
constexpr int64_t PANELS = 8;

int64_t paddedOrder(int64_t order) { return (order + GRAM_STRIP - 1) / GRAM_STRIP * GRAM_STRIP; }

// Where a strip begins.
int64_t stripAt(int64_t order, int64_t strip) {
  const int64_t stride = paddedOrder(order);
  return GRAM_STRIP * (strip * stride - GRAM_STRIP * (strip * (strip - 1) / 2));
}

float momentAt(const float *moments, int64_t order, int64_t row, int64_t column) {
  const int64_t strip = column / GRAM_STRIP;
  return moments[stripAt(order, strip) + (row - strip * GRAM_STRIP) * GRAM_STRIP + column % GRAM_STRIP];
}

// An input that varies less than this part of the mean counts as one that varies so.
constexpr double LEAST_PART = 1e-7;

// What is left of an input's variance once those after it are known; less can't be told from rounding in 32 bits.
constexpr double LEAST_PIVOT = 1e-5;

constexpr int64_t TILE = 64;

// Cholesky factor L of the lower triangle in place, by tiles of columns. False where a pivot is too small, or NaN.
bool factorize(float *matrix, int64_t order, int threads) {
  for (int64_t first = 0; first < order; first += TILE) {
    const int64_t columns = std::min(TILE, order - first);
    float *top = matrix + first * order + first;
    kernels().subtractProducts(matrix + first * order, order, columns, matrix + first * order, order, columns, first, top,
                               order);
    for (int64_t j = 0; j < columns; j++) {
      double pivot = top[j * order + j];
      for (int64_t k = 0; k < j; k++) pivot -= static_cast<double>(top[j * order + k]) * top[j * order + k];
      if (!(pivot > LEAST_PIVOT)) return false;
      const double root = std::sqrt(pivot);
      top[j * order + j] = static_cast<float>(root);
      for (int64_t i = j + 1; i < columns; i++) {
        double sum = top[i * order + j];
        for (int64_t k = 0; k < j; k++) sum -= static_cast<double>(top[i * order + k]) * top[j * order + k];
        top[i * order + j] = static_cast<float>(sum / root);
      }
    }
    const int64_t below = order - first - columns;
    parallelFor((below + TILE - 1) / TILE, threads, [&](int64_t piece) {
      const int64_t row = first + columns + piece * TILE, rows = std::min(TILE, order - row);
      kernels().subtractProducts(matrix + row * order, order, rows, matrix + first * order, order, columns, first,
                                 matrix + row * order + first, order);
      for (int64_t i = row; i < row + rows; i++) {
        float *line = matrix + i * order + first;
        for (int64_t j = 0; j < columns; j++) {
          float sum = line[j];
          for (int64_t k = 0; k < j; k++) sum -= line[k] * top[j * order + k];
          line[j] = sum / top[j * order + j];
        }
      }
    });
  }
  return true;
}

} // namespace

int64_t momentsLength(int64_t order) {
  const int64_t strips = paddedOrder(order) / GRAM_STRIP;
  return stripAt(order, strips);
}

void addMoments(const float *inputs, int64_t rows, int64_t columns, int64_t stride, int threads, float *moments) {
  const int64_t order = paddedOrder(columns), strips = order / GRAM_STRIP;
  std::vector<float> panels(static_cast<size_t>(order * std::min(rows, PANEL_DEPTH * PANELS)));
  for (int64_t done = 0; done < rows; done += PANEL_DEPTH * PANELS) {
    const int64_t some = std::min(PANEL_DEPTH * PANELS, rows - done);
    const int64_t panelCount = (some + PANEL_DEPTH - 1) / PANEL_DEPTH;
    const auto depthOf = [&](int64_t panel) { return std::min(PANEL_DEPTH, some - panel * PANEL_DEPTH); };
    parallelFor(panelCount, threads, [&](int64_t panel) {
      float *to = panels.data() + panel * PANEL_DEPTH * order;
      const int64_t depth = depthOf(panel);
      for (int64_t k = 0; k < depth; k++) {
        const float *row = inputs + (done + panel * PANEL_DEPTH + k) * stride;
        for (int64_t strip = 0; strip < strips; strip++) {
          float *tile = to + (strip * depth + k) * GRAM_STRIP;
          const int64_t known = std::min(GRAM_STRIP, columns - strip * GRAM_STRIP);
          std::copy_n(row + strip * GRAM_STRIP, known, tile);
          std::fill(tile + known, tile + GRAM_STRIP, 0.0f);
        }
      }
    });
    parallelFor(strips, threads, [&](int64_t strip) {
      float *to = moments + stripAt(columns, strip);
      for (int64_t panel = 0; panel < panelCount; panel++) {
        kernels().gramStrip(panels.data() + panel * PANEL_DEPTH * order, order, depthOf(panel), strip * GRAM_STRIP, to);
      }
    });
  }
}

bool feedbackFactor(const float *moments, int64_t order, double shrinkage, int threads, float *feedback, float *pivots) {
  // Correlations are factorized, in reverse: R from the last column on. The diagonal is 1, which 32 bits are enough for.
  std::vector<double> deviation(static_cast<size_t>(order));
  double mean = 0;
  for (int64_t j = 0; j < order; j++) mean += momentAt(moments, order, j, j) / static_cast<double>(order);
  if (!std::isfinite(mean)) return false;
  const double least = mean > 0 ? mean * LEAST_PART : 1;
  for (int64_t j = 0; j < order; j++) {
    deviation[j] = std::sqrt(std::max<double>(momentAt(moments, order, j, j), least));
  }
  const int64_t last = order - 1;
  parallelFor(order, threads, [&](int64_t i) {
    float *row = feedback + i * order;
    for (int64_t j = 0; j < i; j++) {
      const double moment = momentAt(moments, order, last - j, last - i);
      row[j] = static_cast<float>((1 - shrinkage) * moment / (deviation[last - i] * deviation[last - j]));
    }
    row[i] = 1;
    std::fill(row + i + 1, row + order, 0.0f);
  });
  if (!factorize(feedback, order, threads)) return false;
  // In the columns' order: L(p, q) belongs to row order − 1 − q and column order − 1 − p.
  for (int64_t p = 0; p < order; p++) {
    for (int64_t q = 0; q <= p && last - q > p; q++) std::swap(feedback[p * order + q], feedback[(last - q) * order + last - p]);
  }
  parallelFor(order, threads, [&](int64_t j) {
    float *row = feedback + j * order;
    const double pivot = row[j];
    pivots[j] = static_cast<float>(pivot * deviation[j]);
    for (int64_t k = 0; k < j; k++) row[k] = static_cast<float>(row[k] / pivot * (deviation[k] / deviation[j]));
    // above the diagonal the factorization leaves parts of its tiles
    std::fill(row + j, row + order, 0.0f);
  });
  return true;
}

} // namespace prism
