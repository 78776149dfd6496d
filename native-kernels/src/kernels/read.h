// Every byte of an array looked at and nothing done with it: the speed the streaming kernels are held against.

static double readAll(const float *data, int64_t length) {
  constexpr int64_t CHAINS = 8;
  Ints found[CHAINS] = {};
  int64_t at = 0;
  for (; at + CHAINS * LANES <= length; at += CHAINS * LANES) {
    PRISM_UNROLL
    for (int64_t chain = 0; chain < CHAINS; chain++) found[chain] |= loadBits(data + at + chain * LANES);
  }
  int32_t bits = 0;
  for (int64_t chain = 0; chain < CHAINS; chain++) {
    for (int64_t lane = 0; lane < LANES; lane++) bits |= found[chain][lane];
  }
  return bits;
}
