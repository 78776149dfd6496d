// Multiply-adds that wait for nothing: the speed the Gram matrices are held against.

static double peak(int64_t rounds, double *sink) {
  constexpr int64_t CHAINS = 12;
  Doubles sums[CHAINS] = {};
  Doubles factor = {};
  factor += 0.5 + *sink;
  // Chains that start alike would be computed once.
  for (int64_t chain = 0; chain < CHAINS; chain++) sums[chain] += static_cast<double>(chain);
  for (int64_t round = 0; round < rounds; round++) {
    PRISM_UNROLL
    for (int64_t chain = 0; chain < CHAINS; chain++) sums[chain] = sums[chain] * factor + factor;
  }
  for (int64_t chain = 0; chain < CHAINS; chain++) *sink += sumOf(sums[chain]);
  return 2.0 * static_cast<double>(rounds * CHAINS * DOUBLE_LANES);
}
