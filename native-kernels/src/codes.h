// How the blocks of ggml's types hold scales and codes (ggml-common.h of llama.cpp v0.5.0): what is needed to choose codes
// under scales that ggml chose.
#pragma once
#include <cstdint>

namespace prism {

constexpr int64_t LARGEST_BLOCK = 256;

struct CodeLayout {
  // enum ggml_type.
  int32_t id;
  // Weights and bytes of a block, weights that share a scale.
  int64_t weights, bytes, groupWeights;
  // Levels are integers from `lowest` on, or those of an ascending table; codes count from 0.
  float lowest, highest;
  const float *table;
  // The block's scale and offset, and each group's steps of them: a weight is scale·(step − scaleZero)·level + offset·step.
  void (*steps)(const uint8_t *block, float *super, float *scaleStep, float *offsetStep);
  // Null for a block of one group, whose steps are fixed.
  void (*writeSteps)(const float *scaleStep, const float *offsetStep, uint8_t *block);
  float scaleZero, mostScale, mostOffset;
  // Put the codes of all weights into the block.
  void (*write)(const uint8_t *codes, uint8_t *block);
};

constexpr int64_t TABLE_LEVELS = 16;

// Null: a type whose codes are left to ggml.
const CodeLayout *codeLayout(int32_t type);

} // namespace prism
