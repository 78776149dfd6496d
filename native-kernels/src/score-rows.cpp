// The reductions of one row of logits after another. A record of llama.cpp's logits file is f32 scale, f32 minimum, then
// 16 bits for each token, padded to an even number of them.
#include "score-rows.h"
#include "kernels.h"
#include "parallel.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace prism {

namespace {

// Nats below the most likely token at which the file clamps.
constexpr float CLAMP_NATS = 16;
constexpr float LARGEST_STEP = 65535;
constexpr int64_t RECORD_HEAD = 4;
// Rows a thread takes at once.
constexpr int64_t ROWS_AT_ONCE = 4;

struct Row {
  const float *logits;
  int64_t vocabSize;
  int32_t target;
  LogitsRange range;
  // ln Σ exp(logit − max).
  double logSum;
};

Row reduced(const float *logits, int64_t vocabSize, int32_t target) {
  const LogitsRange range = kernels().logitsRange(logits, vocabSize);
  return {logits, vocabSize, target, range, std::log(kernels().sumOfExponentials(logits, vocabSize, range.max))};
}

// Returns −ln p(target) with the log of the sum rounded to 32 bits, as llama-perplexity has it.
double encode(const Row &row, uint16_t *record) {
  const float max = row.range.max;
  const float min = std::max(row.range.min, max - CLAMP_NATS);
  const float logSum = static_cast<float>(row.logSum);
  const float scale = (max - min) / LARGEST_STEP;
  const float head[2] = {scale, min - max - logSum};
  std::memcpy(record, head, sizeof(head));
  uint16_t *steps = record + RECORD_HEAD;
  const int64_t padded = row.vocabSize + row.vocabSize % 2;
  if (scale == 0) std::fill_n(steps, padded, static_cast<uint16_t>(0));
  else {
    kernels().encodeLogits(row.logits, row.vocabSize, min, 1 / scale, steps);
    if (padded > row.vocabSize) steps[row.vocabSize] = 0;
  }
  return static_cast<double>(max) + logSum - row.logits[row.target];
}

LogitsRecord readHead(const uint16_t *record) {
  float head[2];
  std::memcpy(head, record, sizeof(head));
  const double scale = head[0], minimum = head[1];
  // The record's order is that of its steps: the smallest one that stands for ln p > −16.
  const double first = scale > 0 ? std::floor((-CLAMP_NATS - minimum) / scale) + 1 : 0;
  const bool any = scale > 0 || minimum > -CLAMP_NATS;
  return {scale, minimum, any ? first : LARGEST_STEP + 1.0};
}

void scoreRow(const ScoreTask &task, int64_t at) {
  const int64_t sequence = at / task.scoredPerSequence;
  const int64_t position = sequence * task.rowsPerSequence + at % task.scoredPerSequence;
  const Row row = reduced(task.logits + position * task.vocabSize, task.vocabSize, task.targets[at]);
  const int64_t recordLength = RECORD_HEAD + task.vocabSize + task.vocabSize % 2;
  if (task.mode == ScoreMode::ENCODE) {
    task.nll[at] = encode(row, task.records + at * recordLength);
    return;
  }
  const double normalizer = row.range.max + row.logSum;
  task.nll[at] = normalizer - row.logits[row.target];
  if (task.mode == ScoreMode::NLL) return;
  const uint16_t *record = task.records + at * recordLength, *steps = record + RECORD_HEAD;
  const LogitsRecord head = readHead(record);
  task.referenceNll[at] = -(head.scale * steps[row.target] + head.minimum);
  task.kld[at] = kernels().divergence(row.logits, steps, row.vocabSize, head, normalizer);
  task.sameTop[at] = kernels().firstMaximum(steps, row.vocabSize) == row.range.argmax;
}

} // namespace

void scoreRows(const ScoreTask &task, int threads) {
  const int64_t rows = task.sequences * task.scoredPerSequence;
  parallelFor((rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE, threads, [&](int64_t piece) {
    const int64_t end = std::min(rows, (piece + 1) * ROWS_AT_ONCE);
    for (int64_t at = piece * ROWS_AT_ONCE; at < end; at++) scoreRow(task, at);
  });
}

} // namespace prism
