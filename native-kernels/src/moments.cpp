// Σ w² of rows and columns, and the weights that are not finite.
#include "operations.h"
#include "parallel.h"
#include "row-bands.h"
#include <algorithm>
#include <vector>

namespace prism {

namespace {

// Every band has its own column sums, so their number bounds the memory.
constexpr int64_t MAX_BANDS = 64;
// Rows a kernel takes at once.
constexpr int64_t ROWS_AT_ONCE = 4;

} // namespace

int64_t moments(const Matrix &matrix, int threads, double *rowPower, double *columnPower) {
  const auto [data, rows, columns] = matrix;
  const RowBands bands(rows, MAX_BANDS, ROWS_AT_ONCE);
  std::vector<double> columnPowers(static_cast<size_t>(bands.count * columns), 0.0);
  std::vector<int64_t> nonFinite(static_cast<size_t>(bands.count), 0);
  parallelFor(bands.count, threads, [&, data = data, columns = columns](int64_t band) {
    const int64_t start = bands.start(band);
    nonFinite[static_cast<size_t>(band)] = kernels().moments(
        data + start * columns, bands.size(band), columns, rowPower + start, columnPowers.data() + band * columns);
  });
  std::fill(columnPower, columnPower + columns, 0.0);
  int64_t total = 0;
  for (int64_t band = 0; band < bands.count; band++) {
    kernels().axpy(1, columnPowers.data() + band * columns, columnPower, columns);
    total += nonFinite[static_cast<size_t>(band)];
  }
  return total;
}

} // namespace prism
