#include "codes.h"
#include <cstring>

namespace prism {

namespace {

constexpr float IQ4_LEVELS[TABLE_LEVELS] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// IEEE 754 half precision, subnormal numbers included.
float half(const uint8_t *from) {
  const uint32_t bits = static_cast<uint32_t>(from[0]) | static_cast<uint32_t>(from[1]) << 8;
  const uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, fraction = bits & 1023u;
  if (exponent == 0) {
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  const uint32_t wide = sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | fraction << 13;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

void oneScale(const uint8_t *block, float *super, float *scale, float *offset) {
  super[0] = half(block);
  super[1] = 0;
  scale[0] = 1;
  offset[0] = 0;
}

void scaleAndMinimum(const uint8_t *block, float *super, float *scale, float *offset) {
  super[0] = half(block);
  super[1] = half(block + 2);
  scale[0] = offset[0] = 1;
}

// Four bits of 32 codes: the first half in the low nibbles, the second in the high ones.
void writeNibbles(const uint8_t *codes, uint8_t *to) {
  for (int j = 0; j < 16; j++) to[j] = static_cast<uint8_t>((codes[j] & 15) | (codes[j + 16] & 15) << 4);
}

void writeFifthBits(const uint8_t *codes, uint8_t *to) {
  uint32_t bits = 0;
  for (int j = 0; j < 32; j++) bits |= static_cast<uint32_t>(codes[j] >> 4 & 1) << j;
  for (int byte = 0; byte < 4; byte++) to[byte] = static_cast<uint8_t>(bits >> 8 * byte);
}

void writeQ4_0(const uint8_t *codes, uint8_t *block) { writeNibbles(codes, block + 2); }
void writeQ4_1(const uint8_t *codes, uint8_t *block) { writeNibbles(codes, block + 4); }
void writeQ5_0(const uint8_t *codes, uint8_t *block) {
  writeFifthBits(codes, block + 2);
  writeNibbles(codes, block + 6);
}
void writeQ5_1(const uint8_t *codes, uint8_t *block) {
  writeFifthBits(codes, block + 4);
  writeNibbles(codes, block + 8);
}
void writeQ8_0(const uint8_t *codes, uint8_t *block) {
  for (int j = 0; j < 32; j++) block[2 + j] = static_cast<uint8_t>(codes[j] - 127);
}

// Blocks of 256. In two bits: byte l of each 128 weights holds weights l, l + 32, l + 64 and l + 96.
void writeTwoBits(const uint8_t *codes, uint8_t *to) {
  for (int part = 0; part < 2; part++) {
    for (int l = 0; l < 32; l++) {
      const uint8_t *from = codes + 128 * part + l;
      to[32 * part + l] = static_cast<uint8_t>((from[0] & 3) | (from[32] & 3) << 2 | (from[64] & 3) << 4 | (from[96] & 3) << 6);
    }
  }
}

// scales[16], qs[64], d, dmin.
void stepsQ2_K(const uint8_t *block, float *super, float *scale, float *offset) {
  super[0] = half(block + 80);
  super[1] = -half(block + 82);
  for (int group = 0; group < 16; group++) {
    scale[group] = static_cast<float>(block[group] & 15);
    offset[group] = static_cast<float>(block[group] >> 4);
  }
}
void writeStepsQ2_K(const float *scale, const float *offset, uint8_t *block) {
  for (int group = 0; group < 16; group++) {
    block[group] = static_cast<uint8_t>(static_cast<int>(scale[group]) | static_cast<int>(offset[group]) << 4);
  }
}
void writeQ2_K(const uint8_t *codes, uint8_t *block) { writeTwoBits(codes, block + 16); }

// hmask[32], qs[64], scales[12], d.
void stepsQ3_K(const uint8_t *block, float *super, float *scale, float *offset) {
  const uint8_t *packed = block + 96;
  super[0] = half(block + 108);
  super[1] = 0;
  for (int group = 0; group < 16; group++) {
    const int low = group < 8 ? packed[group] & 15 : packed[group - 8] >> 4;
    const int high = packed[8 + group % 4] >> 2 * (group / 4) & 3;
    scale[group] = static_cast<float>(low | high << 4);
    offset[group] = 0;
  }
}
void writeStepsQ3_K(const float *scale, const float *, uint8_t *block) {
  uint8_t *packed = block + 96;
  std::memset(packed, 0, 12);
  for (int group = 0; group < 16; group++) {
    const int step = static_cast<int>(scale[group]);
    packed[group % 8] = static_cast<uint8_t>(packed[group % 8] | (step & 15) << (group < 8 ? 0 : 4));
    packed[8 + group % 4] = static_cast<uint8_t>(packed[8 + group % 4] | (step >> 4) << 2 * (group / 4));
  }
}
void writeQ3_K(const uint8_t *codes, uint8_t *block) {
  writeTwoBits(codes, block + 32);
  for (int l = 0; l < 32; l++) {
    uint8_t bits = 0;
    for (int group = 0; group < 8; group++) bits = static_cast<uint8_t>(bits | (codes[32 * group + l] >> 2 & 1) << group);
    block[l] = bits;
  }
}

// d, dmin, scales[12]: six bits each.
void stepsOf32(const uint8_t *block, float *super, float *scale, float *offset) {
  super[0] = half(block);
  super[1] = -half(block + 2);
  const uint8_t *packed = block + 4;
  for (int group = 0; group < 8; group++) {
    scale[group] = static_cast<float>(group < 4 ? packed[group] & 63 : (packed[group + 4] & 15) | (packed[group - 4] >> 6) << 4);
    offset[group] = static_cast<float>(group < 4 ? packed[group + 4] & 63 : packed[group + 4] >> 4 | (packed[group] >> 6) << 4);
  }
}
void writeStepsOf32(const float *scale, const float *offset, uint8_t *block) {
  uint8_t *packed = block + 4;
  for (int group = 0; group < 4; group++) {
    const int step = static_cast<int>(scale[group]), below = static_cast<int>(offset[group]);
    const int later = static_cast<int>(scale[group + 4]), laterBelow = static_cast<int>(offset[group + 4]);
    packed[group] = static_cast<uint8_t>(step | (later >> 4) << 6);
    packed[group + 4] = static_cast<uint8_t>(below | (laterBelow >> 4) << 6);
    packed[group + 8] = static_cast<uint8_t>((later & 15) | (laterBelow & 15) << 4);
  }
}
// Four bits of 64 codes after another: the first 32 in the low nibbles.
void writePairs(const uint8_t *codes, uint8_t *to) {
  for (int part = 0; part < 4; part++) {
    for (int l = 0; l < 32; l++) {
      to[32 * part + l] = static_cast<uint8_t>((codes[64 * part + l] & 15) | (codes[64 * part + 32 + l] & 15) << 4);
    }
  }
}
void writeQ4_K(const uint8_t *codes, uint8_t *block) { writePairs(codes, block + 16); }
void writeQ5_K(const uint8_t *codes, uint8_t *block) {
  for (int l = 0; l < 32; l++) {
    uint8_t bits = 0;
    for (int group = 0; group < 8; group++) bits = static_cast<uint8_t>(bits | (codes[32 * group + l] >> 4 & 1) << group);
    block[16 + l] = bits;
  }
  writePairs(codes, block + 48);
}

// ql[128], qh[64], scales[16], d.
void stepsQ6_K(const uint8_t *block, float *super, float *scale, float *offset) {
  super[0] = half(block + 208);
  super[1] = 0;
  for (int group = 0; group < 16; group++) {
    scale[group] = static_cast<float>(static_cast<int8_t>(block[192 + group]) + 128);
    offset[group] = 0;
  }
}
void writeStepsQ6_K(const float *scale, const float *, uint8_t *block) {
  for (int group = 0; group < 16; group++) block[192 + group] = static_cast<uint8_t>(static_cast<int>(scale[group]) - 128);
}
void writeQ6_K(const uint8_t *codes, uint8_t *block) {
  for (int part = 0; part < 2; part++) {
    for (int l = 0; l < 32; l++) {
      const uint8_t *from = codes + 128 * part + l;
      block[64 * part + l] = static_cast<uint8_t>((from[0] & 15) | (from[64] & 15) << 4);
      block[64 * part + 32 + l] = static_cast<uint8_t>((from[32] & 15) | (from[96] & 15) << 4);
      block[128 + 32 * part + l] = static_cast<uint8_t>(from[0] >> 4 | (from[32] >> 4) << 2 | (from[64] >> 4) << 4 | (from[96] >> 4) << 6);
    }
  }
}

// d, scales_h, scales_l[4], qs[128].
void stepsIQ4_XS(const uint8_t *block, float *super, float *scale, float *offset) {
  super[0] = half(block);
  super[1] = 0;
  const int high = block[2] | block[3] << 8;
  for (int group = 0; group < 8; group++) {
    const int low = block[4 + group / 2] >> 4 * (group % 2) & 15;
    scale[group] = static_cast<float>(low | (high >> 2 * group & 3) << 4);
    offset[group] = 0;
  }
}
void writeStepsIQ4_XS(const float *scale, const float *, uint8_t *block) {
  int high = 0;
  std::memset(block + 4, 0, 4);
  for (int group = 0; group < 8; group++) {
    const int step = static_cast<int>(scale[group]);
    block[4 + group / 2] = static_cast<uint8_t>(block[4 + group / 2] | (step & 15) << 4 * (group % 2));
    high |= (step >> 4) << 2 * group;
  }
  block[2] = static_cast<uint8_t>(high);
  block[3] = static_cast<uint8_t>(high >> 8);
}
void writeIQ4_XS(const uint8_t *codes, uint8_t *block) {
  for (int group = 0; group < 8; group++) writeNibbles(codes + 32 * group, block + 8 + 16 * group);
}

const CodeLayout LAYOUTS[] = {
    {2, 32, 18, 32, -8, 7, nullptr, oneScale, nullptr, 0, 0, 0, writeQ4_0},
    {3, 32, 20, 32, 0, 15, nullptr, scaleAndMinimum, nullptr, 0, 0, 0, writeQ4_1},
    {6, 32, 22, 32, -16, 15, nullptr, oneScale, nullptr, 0, 0, 0, writeQ5_0},
    {7, 32, 24, 32, 0, 31, nullptr, scaleAndMinimum, nullptr, 0, 0, 0, writeQ5_1},
    {8, 32, 34, 32, -127, 127, nullptr, oneScale, nullptr, 0, 0, 0, writeQ8_0},
    {10, 256, 84, 16, 0, 3, nullptr, stepsQ2_K, writeStepsQ2_K, 0, 15, 15, writeQ2_K},
    {11, 256, 110, 16, -4, 3, nullptr, stepsQ3_K, writeStepsQ3_K, 32, 63, 0, writeQ3_K},
    {12, 256, 144, 32, 0, 15, nullptr, stepsOf32, writeStepsOf32, 0, 63, 63, writeQ4_K},
    {13, 256, 176, 32, 0, 31, nullptr, stepsOf32, writeStepsOf32, 0, 63, 63, writeQ5_K},
    {14, 256, 210, 16, -32, 31, nullptr, stepsQ6_K, writeStepsQ6_K, 128, 255, 0, writeQ6_K},
    {20, 32, 18, 32, 0, 0, IQ4_LEVELS, oneScale, nullptr, 0, 0, 0, writeQ4_0},
    {23, 256, 136, 32, 0, 0, IQ4_LEVELS, stepsIQ4_XS, writeStepsIQ4_XS, 32, 63, 0, writeIQ4_XS},
};

} // namespace

const CodeLayout *codeLayout(int32_t type) {
  for (const CodeLayout &layout : LAYOUTS) {
    if (layout.id == type) return &layout;
  }
  return nullptr;
}

} // namespace prism
