// Perplexity and KL divergence of decoded rows of logits, as src/engine/child/score-rows.ts computes them.
#pragma once
#include <cstdint>

namespace prism {

enum class ScoreMode : int32_t { NLL = 0, ENCODE = 1, COMPARE = 2 };

struct ScoreTask {
  ScoreMode mode;
  // sequences × rowsPerSequence rows of vocabSize; of each sequence the first scoredPerSequence are scored.
  const float *logits;
  int64_t vocabSize, sequences, rowsPerSequence, scoredPerSequence;
  // One for each scored row, as everything below.
  const int32_t *targets;
  // recordLength(vocabSize) numbers each; written in ENCODE, read in COMPARE.
  uint16_t *records;
  double *nll;
  // COMPARE only.
  double *referenceNll, *kld;
  uint8_t *sameTop;
};

void scoreRows(const ScoreTask &task, int threads);

} // namespace prism
