// Power of a row and its squared distance to another one, in 64 bits, weighted where an importance is given.

static inline Doubles importanceAt(const float *importance, int64_t at) {
  return importance == nullptr ? Doubles{} + 1.0 : loadWidened(importance + at);
}

static double squaredError(const float *original, const float *restored, int64_t length, const float *importance) {
  Doubles even = {}, odd = {};
  int64_t at = 0;
  for (; at + 2 * DOUBLE_LANES <= length; at += 2 * DOUBLE_LANES) {
    const Doubles first = loadWidened(restored + at) - loadWidened(original + at);
    const Doubles second = loadWidened(restored + at + DOUBLE_LANES) - loadWidened(original + at + DOUBLE_LANES);
    even += importanceAt(importance, at) * first * first;
    odd += importanceAt(importance, at + DOUBLE_LANES) * second * second;
  }
  double sum = sumOf(even + odd);
  for (; at < length; at++) {
    const double difference = static_cast<double>(restored[at]) - static_cast<double>(original[at]);
    sum += (importance == nullptr ? 1.0 : importance[at]) * difference * difference;
  }
  return sum;
}

// Adds to `nonFinite` the weights that are NaN or infinite; they are left out of the sum.
static double power(const float *row, int64_t length, const float *importance, int64_t *nonFinite) {
  Doubles sums = {};
  Longs finite = {};
  int64_t at = 0;
  for (; at + DOUBLE_LANES <= length; at += DOUBLE_LANES) {
    const Doubles weight = loadWidened(row + at);
    const Longs known = weight - weight == 0;
    finite -= known;
    const Doubles square = importanceAt(importance, at) * weight * weight;
    sums += known ? square : Doubles{};
  }
  double sum = sumOf(sums);
  int64_t found = at;
  for (int64_t lane = 0; lane < DOUBLE_LANES; lane++) found -= finite[lane];
  for (; at < length; at++) {
    const double weight = row[at];
    if (weight - weight != 0) found++;
    else sum += (importance == nullptr ? 1.0 : importance[at]) * weight * weight;
  }
  *nonFinite += found;
  return sum;
}
