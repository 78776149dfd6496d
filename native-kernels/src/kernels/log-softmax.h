// The passes over a row of logits that perplexity and KL divergence take. The 16-bit steps of a record are those of
// 32-bit arithmetic without fused operations, as llama-perplexity and src/engine/child/log-softmax.ts compute them.

// Weights looked at before their maximum is compared with the largest so far.
constexpr int64_t LOGITS_BLOCK = 512;

// exp(x) for x ≤ 0: 2^k·exp(r) with |r| ≤ ln 2 / 2 and eleven terms of the series, 1e-14. Below −700 it is taken as 0.
static inline Doubles exponential(Doubles x) {
  constexpr double SMALLEST_NATS = -700;
  // Added to a number below 2^51 it leaves the nearest integer in the lowest bits.
  constexpr double ROUNDING = 0x1.8p52;
  const Doubles shifted = x * 0x1.71547652b82fep0 + ROUNDING;
  const Doubles r = x - (shifted - ROUNDING) * 0x1.62e42fefa39efp-1;
  constexpr double INVERSE_FACTORIALS[] = {1,       1,        1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,
                                           1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800};
  Doubles series = Doubles{} + INVERSE_FACTORIALS[11];
  PRISM_UNROLL
  for (int64_t term = 10; term >= 0; term--) series = series * r + INVERSE_FACTORIALS[term];
  const Doubles power = reinterpret_cast<Doubles>((reinterpret_cast<Longs>(shifted) + 1023) << 52);
  return x < SMALLEST_NATS ? Doubles{} : series * power;
}

static inline double sumOfFirst(Doubles values, int64_t count) {
  double sum = 0;
  for (int64_t lane = 0; lane < count; lane++) sum += values[lane];
  return sum;
}

static LogitsRange logitsRange(const float *logits, int64_t length) {
  LogitsRange range = {logits[0], logits[0], 0};
  int64_t largestBlock = 0;
  for (int64_t block = 0; block < length; block += LOGITS_BLOCK) {
    const int64_t end = block + LOGITS_BLOCK < length ? block + LOGITS_BLOCK : length;
    Floats most = Floats{} + logits[block], fewest = most;
    int64_t at = block;
    for (; at + LANES <= end; at += LANES) {
      const Floats values = loadFloats(logits + at);
      most = greatest(values, most);
      fewest = least(values, fewest);
    }
    float largest = most[0], smallest = fewest[0];
    for (int64_t lane = 1; lane < LANES; lane++) {
      largest = most[lane] > largest ? most[lane] : largest;
      smallest = fewest[lane] < smallest ? fewest[lane] : smallest;
    }
    for (; at < end; at++) {
      largest = logits[at] > largest ? logits[at] : largest;
      smallest = logits[at] < smallest ? logits[at] : smallest;
    }
    if (smallest < range.min) range.min = smallest;
    if (largest > range.max) {
      range.max = largest;
      largestBlock = block;
    }
  }
  const int64_t end = largestBlock + LOGITS_BLOCK < length ? largestBlock + LOGITS_BLOCK : length;
  for (range.argmax = largestBlock; range.argmax < end - 1 && logits[range.argmax] != range.max;) range.argmax++;
  return range;
}

static double sumOfExponentials(const float *logits, int64_t length, double max) {
  Doubles even = {}, odd = {};
  int64_t at = 0;
  for (; at + 2 * DOUBLE_LANES <= length; at += 2 * DOUBLE_LANES) {
    even += exponential(loadWidened(logits + at) - max);
    odd += exponential(loadWidened(logits + at + DOUBLE_LANES) - max);
  }
  double sum = sumOf(even + odd);
  for (; at < length; at += DOUBLE_LANES) {
    Doubles rest = Doubles{} + max;
    const int64_t left = length - at < DOUBLE_LANES ? length - at : DOUBLE_LANES;
    for (int64_t lane = 0; lane < left; lane++) rest[lane] = logits[at + lane];
    sum += sumOfFirst(exponential(rest - max), left);
  }
  return sum;
}

// A product that is rounded before it goes into a sum.
static inline Floats roundedProduct(Floats a, Floats b) {
  Floats product = a * b;
#if defined(__x86_64__)
  __asm__("" : "+v"(product));
#elif defined(__aarch64__)
  __asm__("" : "+w"(product));
#else
  __asm__("" : "+m"(product));
#endif
  return product;
}

static inline Ints stepsOf(Floats logits, float min, float inverse) {
  // Added to a number below 2^22 it leaves the nearest integer, of two the even one, in the lowest bits.
  constexpr float ROUNDING = 0x1.8p23f;
  const Floats above = logits - min;
  const Floats shifted = roundedProduct(above, Floats{} + inverse) + ROUNDING;
  const Ints steps = (reinterpret_cast<Ints>(shifted) & 0x7fffff) - 0x400000;
  return above > 0 ? steps : Ints{};
}

static void encodeLogits(const float *logits, int64_t length, float min, float inverse, uint16_t *steps) {
  int64_t at = 0;
  for (; at + LANES <= length; at += LANES) {
    const Shorts found = __builtin_convertvector(stepsOf(loadFloats(logits + at), min, inverse), Shorts);
    __builtin_memcpy(steps + at, &found, sizeof(found));
  }
  if (at == length) return;
  Floats rest = {};
  for (int64_t lane = 0; lane < length - at; lane++) rest[lane] = logits[at + lane];
  const Ints found = stepsOf(rest, min, inverse);
  for (int64_t lane = 0; lane < length - at; lane++) steps[at + lane] = static_cast<uint16_t>(found[lane]);
}

static int64_t firstMaximum(const uint16_t *steps, int64_t length) {
  int32_t most = -1;
  int64_t largestBlock = 0;
  for (int64_t block = 0; block < length; block += LOGITS_BLOCK) {
    const int64_t end = block + LOGITS_BLOCK < length ? block + LOGITS_BLOCK : length;
    uint16_t largest = 0;
    for (int64_t at = block; at < end; at++) largest = steps[at] > largest ? steps[at] : largest;
    if (largest > most) {
      most = largest;
      largestBlock = block;
    }
  }
  const int64_t end = largestBlock + LOGITS_BLOCK < length ? largestBlock + LOGITS_BLOCK : length;
  int64_t first = largestBlock;
  while (first < end - 1 && steps[first] != most) first++;
  return first;
}

// Terms p·(ln p − ln q) for the tokens whose step is at least `counted`.
static inline Doubles divergenceTerms(Doubles logits, Doubles steps, const LogitsRecord &record, double normalizer) {
  const Doubles lnP = steps * record.scale + record.minimum;
  const Doubles terms = exponential(lnP < 0 ? lnP : Doubles{}) * (lnP - logits + normalizer);
  return steps >= record.counted ? terms : Doubles{};
}

static double divergence(const float *logits, const uint16_t *steps, int64_t length, const LogitsRecord &record,
                         double normalizer) {
  typedef uint16_t FewShorts __attribute__((vector_size(PRISM_VECTOR_BYTES / 4)));
  typedef FewShorts UnalignedFewShorts __attribute__((aligned(2), may_alias));
  Doubles sums = {};
  int64_t at = 0;
  for (; at + DOUBLE_LANES <= length; at += DOUBLE_LANES) {
    const FewShorts some = *reinterpret_cast<const UnalignedFewShorts *>(steps + at);
    sums += divergenceTerms(loadWidened(logits + at), __builtin_convertvector(some, Doubles), record, normalizer);
  }
  Doubles restLogits = {}, restSteps = {};
  for (int64_t lane = 0; lane < length - at; lane++) {
    restLogits[lane] = logits[at + lane];
    restSteps[lane] = steps[at + lane];
  }
  return sumOf(sums) + sumOfFirst(divergenceTerms(restLogits, restSteps, record, normalizer), length - at);
}
