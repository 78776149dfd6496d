// Draws the next token from rows of logits, as src/engine/child/draw-token.ts does.
#pragma once
#include <cstdint>

namespace prism {

// One row of vocabSize logits, one number in [0, 1) and one token per sequence; −1 where a logit is NaN or infinite.
void drawTokens(const float *logits, int64_t rows, int64_t vocabSize, const double *uniforms, int threads, int32_t *tokens);

} // namespace prism
