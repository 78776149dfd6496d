// Quantization errors at the best scale of each block, and the weights near a decision threshold.
#include "operations.h"
#include "parallel.h"
#include "row-bands.h"
#include <vector>

namespace prism {

namespace {

constexpr int64_t MAX_BANDS = 256;
// Weights of a band at least: enough to fill the lanes of the widest instruction set many times.
constexpr int64_t BAND_WEIGHTS = 16384;

} // namespace

OsqeSums osqe(const Matrix &matrix, int threads) {
  const auto [data, rows, columns] = matrix;
  const RowBands bands(rows, MAX_BANDS, BAND_WEIGHTS / std::max<int64_t>(1, columns) + 1);
  std::vector<OsqeSums> sums(static_cast<size_t>(bands.count));
  parallelFor(bands.count, threads, [&, data = data, columns = columns](int64_t band) {
    kernels().osqe(data + bands.start(band) * columns, bands.size(band), columns, &sums[static_cast<size_t>(band)]);
  });
  OsqeSums total;
  for (const OsqeSums &some : sums) {
    total.power += some.power;
    for (int bits = 0; bits < 4; bits++) total.error[bits] += some.error[bits];
    total.nearThreshold += some.nearThreshold;
    total.onGrid += some.onGrid;
  }
  return total;
}

} // namespace prism
