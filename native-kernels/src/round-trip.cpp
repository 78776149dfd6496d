// The real error of tensor types, the same sums as in src/engine/child/round-trip.ts. One thread: the engine has a process
// for each.
#include "round-trip.h"
#include "kernels.h"
#include <algorithm>
#include <cstring>
#include <vector>

namespace prism {

namespace {

// Weights on their way at once: original, packed and restored fit a processor's own cache.
constexpr int64_t PIECE_WEIGHTS = 1 << 15;

} // namespace

void toFloats(const StoredType &type, const uint8_t *from, int64_t rows, int64_t columns, float *to) {
  if (type.toFloat == nullptr) std::memcpy(to, from, static_cast<size_t>(rows * type.rowBytes));
  else type.toFloat(from, to, rows * columns);
}

int64_t roundTrip(const RoundTrip &job, double *power, double *errors) {
  const int64_t columns = job.columns;
  const int64_t bands = (job.rows + job.bandRows - 1) / job.bandRows;
  std::fill_n(power, bands, 0.0);
  std::fill_n(errors, job.typeCount * bands, 0.0);
  const int64_t pieceRows = std::min(job.bandRows, std::max<int64_t>(1, PIECE_WEIGHTS / std::max<int64_t>(1, columns)));
  std::vector<float> original(static_cast<size_t>(pieceRows * columns)), restored(original.size());
  int64_t packedRow = 0;
  for (int64_t type = 0; type < job.typeCount; type++) packedRow = std::max(packedRow, job.types[type].rowBytes);
  std::vector<uint8_t> packed(static_cast<size_t>(pieceRows * packedRow));
  int64_t nonFinite = 0, rows = 0;
  for (int64_t first = 0; first < job.rows; first += rows) {
    const int64_t band = first / job.bandRows;
    rows = std::min({pieceRows, job.rows - first, (band + 1) * job.bandRows - first});
    toFloats(job.source, job.data + first * job.source.rowBytes, rows, columns, original.data());
    for (int64_t row = 0; row < rows; row++) {
      power[band] += kernels().power(original.data() + row * columns, columns, job.importance, &nonFinite);
    }
    for (int64_t at = 0; at < job.typeCount && nonFinite == 0; at++) {
      const StoredType &type = job.types[at];
      job.quantizeChunk(type.id, original.data(), packed.data(), 0, rows, columns, job.importance);
      toFloats(type, packed.data(), rows, columns, restored.data());
      for (int64_t row = 0; row < rows; row++) {
        const int64_t start = row * columns;
        errors[at * bands + band] +=
            kernels().squaredError(original.data() + start, restored.data() + start, columns, job.importance);
      }
    }
  }
  return nonFinite;
}

} // namespace prism
