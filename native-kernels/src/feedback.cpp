#include "feedback.h"
#include "codes.h"
#include "kernels.h"
#include "parallel.h"
#include <algorithm>
#include <cmath>
#include <vector>

namespace prism {

namespace {

// Rows on their way at once: many enough that a row of the factor is read for all of them, few enough for the cache.
constexpr int64_t BAND_ROWS = 64;
// How often the codes of a block are chosen anew.
constexpr int64_t SWEEPS = 2;
// A target that is more than so many times the largest weight of its block is far away, as one of an input that hardly
// varies may be: a scale that reaches it is too coarse for the others, mostly. Both are tried.
constexpr float MOST_MOVED = 1.25f;
// Lanes of the widest instruction set.
constexpr int64_t MOST_LANES = 16;

// Of each block its own triangle of the factor R, and Σ of the squares of its rows.
struct BlockFactors {
  explicit BlockFactors(const Feedback &job)
      : factors(static_cast<size_t>(job.columns * job.blockWeights)), powers(static_cast<size_t>(job.columns)) {
    const int64_t columns = job.blockWeights;
    for (int64_t j = 0; j < job.columns; j++) {
      const int64_t first = j / columns * columns;
      for (int64_t k = first; k <= j; k++) {
        const float part = (k == j ? 1.0f : job.feedback[j * job.columns + k]) * job.pivots[j];
        factors[static_cast<size_t>(k * columns + j - first)] = part;
        powers[static_cast<size_t>(k)] += part * part;
      }
    }
  }

  std::vector<float> factors, powers;
};

// A band of rows while it is quantized.
class Band {
public:
  // `own`: of its blocks, where codes are chosen.
  Band(const Feedback &job, const BlockFactors *own, int64_t first)
      : job(job), own(own), rows(std::min(BAND_ROWS, job.rows - first)), layout(codeLayout(job.target.id)),
        blockBytes(job.target.rowBytes / (job.columns / job.blockWeights)), weight(size()), error(size()),
        target(static_cast<size_t>(rows * job.blockWeights)), moved(target.size()), near(target.size()), restored(target.size()),
        packed(static_cast<size_t>(rows * blockBytes)), sums(static_cast<size_t>(rows)) {
    kept.error.resize(target.size());
    toFloats(job.source, job.data + first * job.source.rowBytes, rows, job.columns, weight.data());
  }

  // Quantize block after block of all rows into `to`; returns Σ of squared distances from the targets, times pivots.
  double quantize(uint8_t *to) {
    double sum = 0;
    for (int64_t column = 0; column < job.columns; column += job.blockWeights) {
      for (int64_t row = 0; row < rows; row++) {
        std::copy_n(weight.data() + row * job.columns + column, job.blockWeights, target.data() + row * job.blockWeights);
      }
      kernels().subtractProducts(error.data(), job.columns, rows, job.feedback + column * job.columns, job.columns,
                                 job.blockWeights, column, target.data(), job.blockWeights);
      const bool isFar = moveTargets(column);
      // ggml is not made for others
      if (!std::all_of(moved.begin(), moved.end(), [](float value) { return std::isfinite(value); })) return NAN;
      if (isFar) {
        codeBlocks(column, near.data());
        keep(column);
      }
      codeBlocks(column, moved.data());
      if (isFar) takeBetter(column);
      for (const double part : sums) sum += part;
      const int64_t at = column / job.blockWeights * blockBytes;
      for (int64_t row = 0; row < rows; row++) {
        std::copy_n(packed.data() + row * blockBytes, blockBytes, to + row * job.target.rowBytes + at);
      }
    }
    return sum;
  }

  // The same sum of what is there.
  double measure(const uint8_t *from) {
    std::vector<float> stored(size());
    toFloats(job.target, from, rows, job.columns, stored.data());
    for (size_t at = 0; at < stored.size(); at++) error[at] = stored[at] - weight[at];
    std::vector<float> distance(static_cast<size_t>(rows * MEASURED_COLUMNS));
    double sum = 0;
    for (int64_t column = 0; column < job.columns; column += MEASURED_COLUMNS) {
      const int64_t columns = std::min(MEASURED_COLUMNS, job.columns - column);
      const float *feedback = job.feedback + column * job.columns;
      std::fill(distance.begin(), distance.end(), 0.0f);
      // beyond the diagonal a row of the factor is 0
      kernels().subtractProducts(error.data(), job.columns, rows, feedback, job.columns, columns, column + columns,
                                 distance.data(), columns);
      for (int64_t row = 0; row < rows; row++) {
        for (int64_t j = 0; j < columns; j++) {
          const double far = (error[row * job.columns + column + j] - distance[row * columns + j]) *
                             static_cast<double>(job.pivots[column + j]);
          sum += far * far;
        }
      }
    }
    return sum;
  }

private:
  static constexpr int64_t MEASURED_COLUMNS = 32;

  size_t size() const { return static_cast<size_t>(rows * job.columns); }

  // Rows from `first` on side by side, as the kernels take them; those that are not there repeat the last.
  void sideBySide(const float *from, int64_t stride, int64_t first, float *to) const {
    const int64_t lanes = kernels().lanes;
    for (int64_t lane = 0; lane < lanes; lane++) {
      const float *row = from + std::min(first + lane, rows - 1) * stride;
      for (int64_t j = 0; j < job.blockWeights; j++) to[j * lanes + lane] = row[j];
    }
  }

  // What ggml is given: the block as it makes up for the errors before it; and with targets not too far away. Returns
  // whether any was.
  bool moveTargets(int64_t column) {
    bool isFar = false;
    const int64_t columns = job.blockWeights, lanes = kernels().lanes;
    float wanted[LARGEST_BLOCK * MOST_LANES], original[LARGEST_BLOCK * MOST_LANES];
    float shift[LARGEST_BLOCK * MOST_LANES], result[LARGEST_BLOCK * MOST_LANES];
    for (int64_t first = 0; first < rows; first += lanes) {
      sideBySide(target.data(), columns, first, wanted);
      sideBySide(weight.data() + column, job.columns, first, original);
      kernels().moveTargets(columns, ownFeedback(column), job.columns, wanted, original, shift, result);
      for (int64_t lane = 0; lane < lanes && first + lane < rows; lane++) {
        float largest = 0;
        for (int64_t j = 0; j < columns; j++) largest = std::max(largest, std::fabs(original[j * lanes + lane]));
        const float reach = MOST_MOVED * largest;
        for (int64_t j = 0; j < columns; j++) {
          const float asked = result[j * lanes + lane];
          const int64_t at = (first + lane) * columns + j;
          moved[at] = asked;
          near[at] = asked > reach ? reach : asked < -reach ? -reach : asked;
          isFar = isFar || std::fabs(asked) > reach;
        }
      }
    }
    return isFar;
  }

  // What columns of the block ask of each other.
  const float *ownFeedback(int64_t column) const { return job.feedback + column * job.columns + column; }

  // Choose scales and codes for targets that ggml is given.
  void codeBlocks(int64_t column, const float *given) {
    job.quantizeChunk(job.target.id, given, packed.data(), 0, rows, job.blockWeights, job.importance + column);
    if (layout == nullptr) keepBlocks(column);
    else chooseCodes(column);
  }

  // Put aside what was chosen, and take it again for the rows that it is better for.
  void keep(int64_t column) {
    kept.sums = sums;
    kept.packed = packed;
    for (int64_t row = 0; row < rows; row++) {
      std::copy_n(error.data() + row * job.columns + column, job.blockWeights, kept.error.data() + row * job.blockWeights);
    }
  }
  void takeBetter(int64_t column) {
    for (int64_t row = 0; row < rows; row++) {
      if (!(kept.sums[static_cast<size_t>(row)] < sums[static_cast<size_t>(row)])) continue;
      sums[static_cast<size_t>(row)] = kept.sums[static_cast<size_t>(row)];
      std::copy_n(kept.packed.data() + row * blockBytes, blockBytes, packed.data() + row * blockBytes);
      std::copy_n(kept.error.data() + row * job.blockWeights, job.blockWeights, error.data() + row * job.columns + column);
    }
  }

  // ggml's own codes.
  void keepBlocks(int64_t column) {
    const int64_t columns = job.blockWeights;
    toFloats(job.target, packed.data(), rows, columns, restored.data());
    for (int64_t row = 0; row < rows; row++) {
      for (int64_t j = 0; j < columns; j++) {
        const int64_t at = row * job.columns + column + j;
        error[at] = restored[row * columns + j] - weight[at];
      }
    }
    // on and beyond the diagonal the factor is 0
    std::vector<float> wanted = target;
    kernels().subtractProducts(error.data() + column, job.columns, rows, ownFeedback(column), job.columns, columns, columns,
                               wanted.data(), columns);
    for (int64_t row = 0; row < rows; row++) {
      double sum = 0;
      for (int64_t j = 0; j < columns; j++) sum += squared(restored[row * columns + j] - wanted[row * columns + j], column + j);
      sums[static_cast<size_t>(row)] = sum;
    }
  }

  // ggml's scales of blocks, and codes column by column.
  void chooseCodes(int64_t column) {
    const int64_t columns = job.blockWeights, lanes = kernels().lanes, groups = columns / layout->groupWeights;
    constexpr int64_t MOST_GROUPS = LARGEST_BLOCK / 16;
    float steps[MOST_GROUPS * MOST_LANES], offsetSteps[MOST_GROUPS * MOST_LANES];
    float superScales[MOST_LANES], superOffsets[MOST_LANES];
    float wanted[LARGEST_BLOCK * MOST_LANES], original[LARGEST_BLOCK * MOST_LANES];
    float errors[LARGEST_BLOCK * MOST_LANES], levels[LARGEST_BLOCK * MOST_LANES];
    float distance[LARGEST_BLOCK * MOST_LANES];
    for (int64_t first = 0; first < rows; first += lanes) {
      float super[2], step[MOST_GROUPS], offsetStep[MOST_GROUPS];
      sideBySide(target.data(), columns, first, wanted);
      sideBySide(weight.data() + column, job.columns, first, original);
      for (int64_t lane = 0; lane < lanes; lane++) {
        const int64_t row = std::min(first + lane, rows - 1);
        layout->steps(packed.data() + row * blockBytes, super, step, offsetStep);
        superScales[lane] = super[0];
        superOffsets[lane] = super[1];
        for (int64_t group = 0; group < groups; group++) {
          steps[group * lanes + lane] = step[group];
          offsetSteps[group * lanes + lane] = offsetStep[group];
        }
      }
      const LevelChoice choice = {columns, layout->groupWeights, superScales, superOffsets, steps, offsetSteps,
                                  layout->scaleZero, layout->writeSteps != nullptr, layout->mostScale,
                                  layout->mostOffset, job.pivots + column, layout->lowest, layout->highest,
                                  layout->table, TABLE_LEVELS, ownFeedback(column), job.columns};
      kernels().chooseLevels(choice, wanted, original, errors, levels);
      kernels().refineLevels(choice, SWEEPS, own->factors.data() + column * columns, own->powers.data() + column, original, wanted,
                             errors, levels, distance);
      for (int64_t lane = 0; lane < lanes && first + lane < rows; lane++) {
        uint8_t codes[LARGEST_BLOCK];
        double sum = 0;
        for (int64_t j = 0; j < columns; j++) {
          const int64_t at = j * lanes + lane;
          codes[j] = codeOf(levels[at]);
          error[(first + lane) * job.columns + column + j] = errors[at];
          sum += static_cast<double>(distance[at]) * distance[at];
        }
        uint8_t *block = packed.data() + (first + lane) * blockBytes;
        for (int64_t group = 0; group < groups; group++) {
          step[group] = steps[group * lanes + lane];
          offsetStep[group] = offsetSteps[group * lanes + lane];
        }
        if (layout->writeSteps != nullptr) layout->writeSteps(step, offsetStep, block);
        layout->write(codes, block);
        sums[static_cast<size_t>(first + lane)] = sum;
      }
    }
  }

  uint8_t codeOf(float level) const {
    if (layout->table == nullptr) return static_cast<uint8_t>(level - layout->lowest);
    return static_cast<uint8_t>(std::lower_bound(layout->table, layout->table + TABLE_LEVELS, level) - layout->table);
  }

  double squared(float distance, int64_t column) const {
    const double far = static_cast<double>(distance) * job.pivots[column];
    return far * far;
  }

  const Feedback &job;
  const BlockFactors *own;
  const int64_t rows;
  const CodeLayout *layout;
  const int64_t blockBytes;
  std::vector<float> weight, error, target, moved, near, restored;
  std::vector<uint8_t> packed;
  // Of the block's rows: Σ of squared distances from the targets, times pivots.
  std::vector<double> sums;
  struct {
    std::vector<double> sums;
    std::vector<uint8_t> packed;
    std::vector<float> error;
  } kept;
};

// Bands are summed in their order.
template <typename Work>
double overBands(const Feedback &job, const BlockFactors *own, int threads, const Work &work) {
  std::vector<double> sums(static_cast<size_t>((job.rows + BAND_ROWS - 1) / BAND_ROWS));
  parallelFor(static_cast<int64_t>(sums.size()), threads, [&](int64_t band) {
    Band rows(job, own, band * BAND_ROWS);
    sums[static_cast<size_t>(band)] = work(rows, band * BAND_ROWS * job.target.rowBytes);
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

} // namespace

double quantizeWithFeedback(const Feedback &job, int threads, uint8_t *packed) {
  const BlockFactors own(job);
  return overBands(job, &own, threads, [&](Band &band, int64_t at) { return band.quantize(packed + at); });
}

double inputError(const Feedback &job, int threads, const uint8_t *packed) {
  return overBands(job, nullptr, threads, [&](Band &band, int64_t at) { return band.measure(packed + at); });
}

} // namespace prism
