// Rows quantized and dequantized by ggml, whose functions the caller hands in, and compared with the original.
#pragma once
#include <cstddef>
#include <cstdint>

namespace prism {

// ggml.h: ggml_to_float_t and ggml_quantize_chunk.
typedef void (*ToFloat)(const void *from, float *to, int64_t count);
typedef size_t (*QuantizeChunk)(int32_t type, const float *from, void *to, int64_t start, int64_t rows, int64_t columns,
                                const float *importance);

struct StoredType {
  // enum ggml_type.
  int32_t id;
  int64_t rowBytes;
  // Null for f32.
  ToFloat toFloat;
};

// Stored weights as floats.
void toFloats(const StoredType &type, const uint8_t *from, int64_t rows, int64_t columns, float *to);

struct RoundTrip {
  QuantizeChunk quantizeChunk;
  const uint8_t *data;
  StoredType source;
  int64_t rows, columns, bandRows;
  const StoredType *types;
  int64_t typeCount;
  // One for each column; null: 1.
  const float *importance;
};

// Set the power of each band, the errors (types × bands), and return how many weights are not finite. From the first of
// those on nothing is quantized: ggml is not made for them.
int64_t roundTrip(const RoundTrip &job, double *power, double *errors);

} // namespace prism
