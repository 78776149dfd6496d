// Scale-optimal quantization error of blocks of 32, by the sweep of src/kernels/reference/scale-sweep.ts with one block
// per lane, 32-bit. A step of ⟨q,w⟩ and ⟨q,q⟩ is one 64-bit number, so a bucket takes one addition: the product in
// units of 2^-21 in the upper half (at most 31·32 · 2^21 < 2^31), the square in the lower (at most 31²·32). The sweep
// picks the scale; the error at that scale is then summed from the residuals, which loses no digits.

constexpr int64_t BUCKETS = 64;
// Bucket 0 gathers what is crossed before the sweep, the last but one what comes after, the last what never comes.
constexpr int64_t STRIDE = BUCKETS + 3;
constexpr int32_t NEVER = BUCKETS + 2;
constexpr float PRODUCT_UNITS = 2097152.0f;
constexpr float LARGEST_MULTIPLIER = 1.15f;
constexpr float SMALLEST_MULTIPLIER = 0.45f;
constexpr float TWO_BIT_U_MIN = 1 / LARGEST_MULTIPLIER;
constexpr float TWO_BIT_U_MAX = 2 / SMALLEST_MULTIPLIER;
constexpr float TWO_BIT_BUCKETS_PER_U = BUCKETS / (TWO_BIT_U_MAX - TWO_BIT_U_MIN);
constexpr float TWO_BIT_OFFSET = TWO_BIT_U_MIN * TWO_BIT_BUCKETS_PER_U - 1;
constexpr float BOUNDARY_DELTA = 0.1f;

// LANES blocks; magnitudes are relative to the largest one of their block.
struct OsqeBlocks {
  Floats weight[OSQE_BLOCK];
  Floats magnitude[OSQE_BLOCK];
  // 1/magnitude, 1 where that is 0.
  Floats inverse[OSQE_BLOCK];
  // The magnitude in units of the sweep.
  Ints step[OSQE_BLOCK];
};

// All 0 between sweeps.
struct OsqeBuckets {
  alignas(PRISM_VECTOR_BYTES) int64_t one[STRIDE * LANES];
  // At 2 bits: from level ±1 to ±2, with a positive, then with a negative scale.
  alignas(PRISM_VECTOR_BYTES) int64_t two[2 * STRIDE * LANES];
};

struct Fit {
  Floats error, inverseScale;
};

// The largest ⟨q,w⟩²/⟨q,q⟩ so far, and the bucket it is the state at the end of.
struct Best {
  Floats squaredProduct = {}, square = Floats{} + 1.0f, bucket = {};
};

static inline void keepBetter(const Best &other, Best &best) {
  const Ints better = other.squaredProduct * best.square > best.squaredProduct * other.square;
  best.squaredProduct = better ? other.squaredProduct : best.squaredProduct;
  best.square = better ? other.square : best.square;
  best.bucket = better ? other.bucket : best.bucket;
}

static inline void keepBetter(Pairs sums, Floats bucket, Best &best) {
  const Floats product = asFloats(upperOf(sums));
  const Floats square = asFloats(lowerOf(sums));
  keepBetter({product * product, square, bucket}, best);
}

static inline void addSteps(int64_t *buckets, Ints bucket, Ints product, Ints square) {
  Ints lane;
  for (int32_t at = 0; at < LANES; at++) lane[at] = at;
  alignas(PRISM_VECTOR_BYTES) int32_t slots[LANES];
  alignas(PRISM_VECTOR_BYTES) int64_t steps[LANES];
  *reinterpret_cast<Ints *>(slots) = bucket * static_cast<int32_t>(LANES) + lane;
  const Pairs step = pairs(square, product);
  reinterpret_cast<Longs *>(steps)[0] = step.first;
  reinterpret_cast<Longs *>(steps)[1] = step.last;
  // Through memory: taking the lanes out of a register costs two instructions each.
  __asm__ volatile("" : : "r"(slots), "r"(steps) : "memory");
  PRISM_UNROLL
  for (int64_t at = 0; at < LANES; at++) buckets[slots[at]] += steps[at];
}

static inline Pairs takeBucket(int64_t *buckets, int64_t bucket) {
  Longs *at = reinterpret_cast<Longs *>(buckets + bucket * LANES);
  const Pairs taken = {at[0], at[1]};
  at[0] = Longs{};
  at[1] = Longs{};
  return taken;
}

static inline bool anyOf(Ints mask) {
  typedef int64_t Part __attribute__((vector_size(16)));
  constexpr int64_t PARTS = PRISM_VECTOR_BYTES / 16;
  Part parts[PARTS];
  __builtin_memcpy(parts, &mask, PRISM_VECTOR_BYTES);
  Part any = parts[0];
  for (int64_t part = 1; part < PARTS; part++) any |= parts[part];
  return (any[0] | any[1]) != 0;
}

static inline Floats squareRoot(Floats value) {
  Floats root;
  for (int64_t lane = 0; lane < LANES; lane++) root[lane] = __builtin_sqrtf(value[lane]);
  return root;
}

static inline Floats levelAt(Floats magnitude, Floats u, float top) {
  return least(asFloats(truncated(magnitude * u + 0.5f)), Floats{} + top);
}

// The least-squares scale of the levels at u, and what it leaves.
static Fit fitSymmetric(const OsqeBlocks &blocks, Floats u, float top) {
  Floats product = {}, square = {};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats level = levelAt(blocks.magnitude[i], u, top);
    product += level * blocks.magnitude[i];
    square += level * level;
  }
  // An all-zero block has no levels.
  const Floats scale = square > 0 ? product / square : Floats{};
  Floats error = {};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats rest = blocks.magnitude[i] - scale * levelAt(blocks.magnitude[i], u, top);
    error += rest * rest;
  }
  return {error, product > 0 ? square / product : Floats{}};
}

static Fit symmetricFit(const OsqeBlocks &blocks, OsqeBuckets &buckets, float top) {
  const float uMin = top / LARGEST_MULTIPLIER;
  const Fit plain = fitSymmetric(blocks, Floats{} + top, top);
  // Beyond u the largest weight alone errs by more than 1 − top/u: no use where u = top already errs less.
  const Floats smallest = greatest(1 - squareRoot(plain.error), Floats{} + SMALLEST_MULTIPLIER);
  const Floats uMax = top / smallest;
  const Floats bucketsPerU = BUCKETS / (uMax - uMin);
  const Floats offset = uMin * bucketsPerU - 1;
  Ints startProduct = {}, startSquare = {};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats x = blocks.magnitude[i];
    const Floats perLevel = blocks.inverse[i] * bucketsPerU;
    Ints level = truncated(x * uMin + 0.5f);
    const Ints last = truncated(least(x * uMax + 0.5f, Floats{} + top));
    startProduct += level * blocks.step[i];
    startSquare += level * level;
    for (Ints open = level < last; anyOf(open); open = level < last) {
      const Ints bucket = truncated((asFloats(level) + 0.5f) * perLevel - offset);
      addSteps(buckets.one, open ? bucket : Ints{} + NEVER, blocks.step[i], 2 * level + 1);
      level += 1;
    }
  }
  // Two, so that one comparison need not wait for the one before.
  Best best, other;
  Pairs sums = pairs(startSquare, startProduct);
  Floats at = {};
  for (int64_t bucket = 0; bucket < NEVER; bucket += 2) {
    sums = sums + takeBucket(buckets.one, bucket);
    keepBetter(sums, at, best);
    sums = sums + takeBucket(buckets.one, bucket + 1);
    keepBetter(sums, at + 1, other);
    at += 2;
  }
  takeBucket(buckets.one, NEVER);
  keepBetter(other, best);
  const Fit swept = fitSymmetric(blocks, (best.bucket + 1 + offset) / bucketsPerU, top);
  const Ints better = swept.error < plain.error;
  return {better ? swept.error : plain.error, better ? swept.inverseScale : plain.inverseScale};
}

// Level at u of a weight that may reach 2 or only 1.
static inline Floats twoBitLevel(Floats magnitude, Floats u, Ints reachesTwo) {
  const Floats inScales = magnitude * u;
  const Floats one = inScales >= 0.5f ? Floats{} + 1.0f : Floats{};
  return (reachesTwo & (inScales >= 1.5f)) != 0 ? Floats{} + 2.0f : one;
}

static Floats twoBitErrorAt(const OsqeBlocks &blocks, Floats u, Ints side) {
  Floats product = {}, square = {};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats level = twoBitLevel(blocks.magnitude[i], u, (blocks.weight[i] < 0) ^ side);
    product += level * blocks.magnitude[i];
    square += level * level;
  }
  const Floats scale = square > 0 ? product / square : Floats{};
  Floats error = {};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats level = twoBitLevel(blocks.magnitude[i], u, (blocks.weight[i] < 0) ^ side);
    const Floats rest = blocks.magnitude[i] - scale * level;
    error += rest * rest;
  }
  return error;
}

static Floats twoBitError(const OsqeBlocks &blocks, OsqeBuckets &buckets) {
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Ints present = blocks.magnitude[i] > 0;
    const Floats perLevel = blocks.inverse[i] * TWO_BIT_BUCKETS_PER_U;
    const Floats end = Floats{} + static_cast<float>(BUCKETS + 1);
    const Ints one = truncated(least(greatest(0.5f * perLevel - TWO_BIT_OFFSET, Floats{}), end));
    const Ints two = truncated(least(1.5f * perLevel - TWO_BIT_OFFSET, end));
    const Ints side = blocks.weight[i] < 0 ? Ints{} : Ints{} + static_cast<int32_t>(STRIDE);
    addSteps(buckets.one, present ? one : Ints{} + NEVER, blocks.step[i], Ints{} + 1);
    addSteps(buckets.two, (present ? two : Ints{} + NEVER) + side, blocks.step[i], Ints{} + 3);
  }
  Best positive, negative;
  Floats at = {};
  Pairs one = {}, farPositive = {}, farNegative = {};
  for (int64_t bucket = 0; bucket < NEVER; bucket++) {
    one = one + takeBucket(buckets.one, bucket);
    farPositive = farPositive + takeBucket(buckets.two, bucket);
    farNegative = farNegative + takeBucket(buckets.two, bucket + STRIDE);
    keepBetter(one + farPositive, at, positive);
    keepBetter(one + farNegative, at, negative);
    at += 1;
  }
  takeBucket(buckets.one, NEVER);
  takeBucket(buckets.two, NEVER);
  takeBucket(buckets.two, NEVER + STRIDE);
  const Ints flip = negative.squaredProduct * positive.square > positive.squaredProduct * negative.square;
  const Floats bucket = flip ? negative.bucket : positive.bucket;
  return twoBitErrorAt(blocks, (bucket + 1 + TWO_BIT_OFFSET) / TWO_BIT_BUCKETS_PER_U, flip);
}

// Weights nearer than δ scales to one of the thresholds ½, 1½, … top−½.
static int64_t nearThresholds(const OsqeBlocks &blocks, Floats inverseScale, int32_t top) {
  Ints found = {};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats inScales = blocks.magnitude[i] * inverseScale;
    const Ints below = truncated(inScales);
    const Floats beyond = inScales - asFloats(below) - 0.5f;
    found -= (below < top) & (beyond < BOUNDARY_DELTA) & (beyond > -BOUNDARY_DELTA);
  }
  int64_t count = 0;
  for (int64_t lane = 0; lane < LANES; lane++) count += found[lane];
  return count;
}

// Relative magnitudes, their inverses and steps, from the weights; returns the largest magnitudes and adds the power.
static Floats prepare(OsqeBlocks &blocks, WideDoubles &power) {
  Floats largest = {};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats given = blocks.weight[i];
    // Weights are finite; one that is not counts as 0, so that no bucket is out of range.
    const Floats weight = given - given == 0 ? given : Floats{};
    blocks.weight[i] = weight;
    largest = greatest(largest, greatest(weight, -weight));
    const WideDoubles exact = __builtin_convertvector(weight, WideDoubles);
    power += exact * exact;
  }
  const Floats divisor = largest > 0 ? largest : Floats{} + 1.0f;
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats weight = blocks.weight[i];
    const Floats magnitude = greatest(weight, -weight) / divisor;
    blocks.magnitude[i] = magnitude;
    blocks.inverse[i] = 1 / (magnitude > 0 ? magnitude : Floats{} + 1.0f);
    blocks.step[i] = truncated(magnitude * PRODUCT_UNITS);
  }
  return largest;
}

// Takes block after block, each into a lane; 0 where one is short or there is none.
struct BlockReader {
  const float *from, *end;
  int64_t columns, column;

  int64_t next(float *to) {
    const int64_t left = from < end ? columns - column : 0;
    const int64_t length = left < OSQE_BLOCK ? left : OSQE_BLOCK;
    for (int64_t i = 0; i < length; i++) to[i * LANES] = from[i];
    for (int64_t i = length; i < OSQE_BLOCK; i++) to[i * LANES] = 0;
    from += length;
    column = left == length ? 0 : column + length;
    return length;
  }
};

static void osqe(const float *data, int64_t rows, int64_t columns, OsqeSums *sums) {
  alignas(PRISM_VECTOR_BYTES) OsqeBuckets buckets = {};
  alignas(PRISM_VECTOR_BYTES) OsqeBlocks blocks;
  WideDoubles power = {}, error[4] = {};
  BlockReader reader = {data, data + rows * columns, columns, 0};
  while (reader.from < reader.end) {
    int64_t lengths[LANES];
    for (int64_t lane = 0; lane < LANES; lane++) {
      lengths[lane] = reader.next(reinterpret_cast<float *>(blocks.weight) + lane);
    }
    const Floats largest = prepare(blocks, power);
    const WideDoubles unit = __builtin_convertvector(largest, WideDoubles);
    const Floats two = twoBitError(blocks, buckets);
    const Fit three = symmetricFit(blocks, buckets, 3);
    const Fit four = symmetricFit(blocks, buckets, 7);
    const Fit six = symmetricFit(blocks, buckets, 31);
    error[0] += unit * unit * __builtin_convertvector(two, WideDoubles);
    error[1] += unit * unit * __builtin_convertvector(three.error, WideDoubles);
    error[2] += unit * unit * __builtin_convertvector(four.error, WideDoubles);
    error[3] += unit * unit * __builtin_convertvector(six.error, WideDoubles);
    sums->nearThreshold += static_cast<double>(nearThresholds(blocks, four.inverseScale, 7));
    for (int64_t lane = 0; lane < LANES; lane++) {
      if (largest[lane] > 0) sums->onGrid += static_cast<double>(lengths[lane]);
    }
  }
  for (int64_t lane = 0; lane < LANES; lane++) {
    sums->power += power[lane];
    for (int64_t bits = 0; bits < 4; bits++) sums->error[bits] += error[bits][lane];
  }
}
