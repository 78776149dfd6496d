// How rows are cut into pieces of work: by the shape alone, so that sums come out the same on any number of threads.
#pragma once
#include <algorithm>
#include <cstdint>

namespace prism {

struct RowBands {
  // `multiple`: rows of a band are a multiple of it, but for the last.
  RowBands(int64_t rows, int64_t atMost, int64_t multiple) : rows(rows) {
    const int64_t wanted = (rows + atMost - 1) / atMost;
    bandRows = std::max<int64_t>(multiple, (wanted + multiple - 1) / multiple * multiple);
    count = (rows + bandRows - 1) / bandRows;
  }
  int64_t start(int64_t band) const { return band * bandRows; }
  int64_t size(int64_t band) const { return std::min(bandRows, rows - start(band)); }

  int64_t rows, bandRows, count;
};

} // namespace prism
