// Scale-optimal quantization error of blocks of 32, one block per lane, in 32 bits: at a list of scales, each level's weights
// give ⟨q,w⟩ and ⟨q,q⟩; the scale with the largest ⟨q,w⟩²/⟨q,q⟩ errs least, and its error is then summed from the residuals,
// which loses no digits. src/kernels/reference/scale-sweep.ts tells the ranges; it looks at more scales, in other ways.

// Scales tried, evenly spaced in u = 1/scale. Of Gaussian blocks they err by 0.04 % (2, 3, 4 bits) and 0.03 % (6 bits) more
// than the best scale, of uniform ones by 0.15 and 0.09 % (measured, 3,000 blocks against 400 scales).
constexpr int64_t FEW_SCALES = 16;
constexpr int64_t MANY_SCALES = 32;
// Tried in one pass over the magnitudes.
constexpr int64_t SCALES_AT_ONCE = 4;
constexpr int64_t TWO_BIT_SCALES_AT_ONCE = 2;
constexpr float LARGEST_MULTIPLIER = 1.15f;
constexpr float SMALLEST_MULTIPLIER = 0.45f;
constexpr float TWO_BIT_U_MIN = 1 / LARGEST_MULTIPLIER;
constexpr float TWO_BIT_U_MAX = 2 / SMALLEST_MULTIPLIER;
constexpr float BOUNDARY_DELTA = 0.1f;
// Added to a number below 2^22 it leaves the nearest integer in the lowest bits.
constexpr float ROUND = 0x1.8p23f;

// LANES blocks; magnitudes are relative to the largest one of their block.
struct OsqeBlocks {
  Floats weight[OSQE_BLOCK];
  Floats magnitude[OSQE_BLOCK];
  // With the weight's sign.
  Floats relative[OSQE_BLOCK];
  // Σ magnitude².
  Floats power;
};

// The levels at 1/u: ⟨q,w⟩ and ⟨q,q⟩. A block of zeros has no levels, and a product of 0.
struct Levels {
  Floats u = {}, product = {}, square = Floats{} + 1.0f;
};

static inline void keepBetter(const Levels &other, Levels &best) {
  const Ints better = other.product * other.product * best.square > best.product * best.product * other.square;
  best.u = better ? other.u : best.u;
  best.product = better ? other.product : best.product;
  best.square = better ? other.square : best.square;
}

static inline Floats squareRoot(Floats value) {
  Floats root;
  for (int64_t lane = 0; lane < LANES; lane++) root[lane] = __builtin_sqrtf(value[lane]);
  return root;
}

static inline Floats levelAt(Floats magnitude, Floats u, float top) {
  return least(magnitude * u + ROUND, Floats{} + (ROUND + top)) - ROUND;
}

// Try `count` scales from u on, `step` apart.
static inline void tryScales(const OsqeBlocks &blocks, Floats u, Floats step, int64_t count, float top, Levels &best) {
  for (int64_t tried = 0; tried < count; tried += SCALES_AT_ONCE) {
    Levels levels[SCALES_AT_ONCE];
    PRISM_UNROLL
    for (int64_t at = 0; at < SCALES_AT_ONCE; at++) {
      levels[at] = {u, Floats{}, Floats{}};
      u += step;
    }
    for (int64_t i = 0; i < OSQE_BLOCK; i++) {
      const Floats magnitude = blocks.magnitude[i];
      PRISM_UNROLL
      for (int64_t at = 0; at < SCALES_AT_ONCE; at++) {
        const Floats level = levelAt(magnitude, levels[at].u, top);
        levels[at].product += level * magnitude;
        levels[at].square += level * level;
      }
    }
    PRISM_UNROLL
    for (int64_t at = 0; at < SCALES_AT_ONCE; at++) keepBetter(levels[at], best);
  }
}

static Levels symmetricLevels(const OsqeBlocks &blocks, float top, int64_t count) {
  Levels best = {Floats{} + top, Floats{}, Floats{}};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats level = levelAt(blocks.magnitude[i], best.u, top);
    best.product += level * blocks.magnitude[i];
    best.square += level * level;
  }
  best.square = best.square > 0 ? best.square : Floats{} + 1.0f;
  // Beyond u the largest weight alone errs by more than 1 − top/u: no use where u = top already errs less.
  const Floats error = greatest(blocks.power - best.product * best.product / best.square, Floats{});
  const Floats uMax = top / greatest(1 - squareRoot(error), Floats{} + SMALLEST_MULTIPLIER);
  const Floats uMin = Floats{} + top / LARGEST_MULTIPLIER;
  const Floats step = (uMax - uMin) / static_cast<float>(count);
  tryScales(blocks, uMin + 0.5f * step, step, count, top, best);
  return best;
}

static Floats symmetricError(const OsqeBlocks &blocks, const Levels &levels, float top) {
  const Floats scale = levels.product / levels.square;
  Floats error = {};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats rest = blocks.magnitude[i] - scale * levelAt(blocks.magnitude[i], levels.u, top);
    error += rest * rest;
  }
  return error;
}

// At 2 bits every weight reaches level ±1; with a positive scale the negative ones go on to −2, with a negative scale the
// positive ones do.
struct TwoBitLevels {
  Levels positive, negative;
};

// The sums at u: of weights that reach level 1, and of those of either sign that reach 2.
struct Reached {
  Floats one = {}, above = {}, below = {};
  Floats ones = {}, aboves = {}, belows = {};
};

static inline void tryTwoBits(const OsqeBlocks &blocks, float u, float step, TwoBitLevels &best) {
  Reached reached[TWO_BIT_SCALES_AT_ONCE];
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats magnitude = blocks.magnitude[i], relative = blocks.relative[i];
    PRISM_UNROLL
    for (int64_t at = 0; at < TWO_BIT_SCALES_AT_ONCE; at++) {
      const float inverse = 1 / (u + step * static_cast<float>(at));
      const Ints one = magnitude >= 0.5f * inverse;
      const Ints above = relative >= 1.5f * inverse, below = relative <= -1.5f * inverse;
      Reached &sums = reached[at];
      sums.one = one ? sums.one + magnitude : sums.one;
      sums.ones = one ? sums.ones + 1 : sums.ones;
      sums.above = above ? sums.above + magnitude : sums.above;
      sums.aboves = above ? sums.aboves + 3 : sums.aboves;
      sums.below = below ? sums.below + magnitude : sums.below;
      sums.belows = below ? sums.belows + 3 : sums.belows;
    }
  }
  PRISM_UNROLL
  for (int64_t at = 0; at < TWO_BIT_SCALES_AT_ONCE; at++) {
    const Reached &sums = reached[at];
    const Floats tried = Floats{} + (u + step * static_cast<float>(at));
    keepBetter({tried, sums.one + sums.below, sums.ones + sums.belows}, best.positive);
    keepBetter({tried, sums.one + sums.above, sums.ones + sums.aboves}, best.negative);
  }
}

static Floats twoBitError(const OsqeBlocks &blocks) {
  constexpr float STEP = (TWO_BIT_U_MAX - TWO_BIT_U_MIN) / FEW_SCALES;
  TwoBitLevels best;
  for (int64_t tried = 0; tried < FEW_SCALES; tried += TWO_BIT_SCALES_AT_ONCE) {
    tryTwoBits(blocks, TWO_BIT_U_MIN + STEP * (static_cast<float>(tried) + 0.5f), STEP, best);
  }
  Levels levels = best.positive;
  keepBetter(best.negative, levels);
  const Ints flipped = levels.product * levels.product * best.positive.square >
                       best.positive.product * best.positive.product * levels.square;
  const Floats inverse = 1 / levels.u, scale = levels.product / levels.square;
  Floats error = {};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats magnitude = blocks.magnitude[i];
    const Floats reaching = flipped ? blocks.relative[i] : -blocks.relative[i];
    const Floats one = magnitude >= 0.5f * inverse ? scale : Floats{};
    const Floats rest = magnitude - one - (reaching >= 1.5f * inverse ? scale : Floats{});
    error += rest * rest;
  }
  return error;
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

// Relative magnitudes and their power from the weights; returns the largest magnitudes and adds the power of the weights.
static Floats prepare(OsqeBlocks &blocks, WideDoubles &power) {
  Floats largest = {};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats given = blocks.weight[i];
    // Weights are finite; one that is not counts as 0.
    const Floats weight = given - given == 0 ? given : Floats{};
    blocks.weight[i] = weight;
    largest = greatest(largest, greatest(weight, -weight));
    const WideDoubles exact = __builtin_convertvector(weight, WideDoubles);
    power += exact * exact;
  }
  const Floats divisor = largest > 0 ? largest : Floats{} + 1.0f;
  blocks.power = Floats{};
  for (int64_t i = 0; i < OSQE_BLOCK; i++) {
    const Floats relative = blocks.weight[i] / divisor;
    blocks.relative[i] = relative;
    blocks.magnitude[i] = greatest(relative, -relative);
    blocks.power += relative * relative;
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
    const Levels three = symmetricLevels(blocks, 3, FEW_SCALES);
    const Levels four = symmetricLevels(blocks, 7, FEW_SCALES);
    const Levels six = symmetricLevels(blocks, 31, MANY_SCALES);
    error[0] += unit * unit * __builtin_convertvector(twoBitError(blocks), WideDoubles);
    error[1] += unit * unit * __builtin_convertvector(symmetricError(blocks, three, 3), WideDoubles);
    error[2] += unit * unit * __builtin_convertvector(symmetricError(blocks, four, 7), WideDoubles);
    error[3] += unit * unit * __builtin_convertvector(symmetricError(blocks, six, 31), WideDoubles);
    const Floats inverseScale = four.product > 0 ? four.square / four.product : Floats{};
    sums->nearThreshold += static_cast<double>(nearThresholds(blocks, inverseScale, 7));
    for (int64_t lane = 0; lane < LANES; lane++) {
      if (largest[lane] > 0) sums->onGrid += static_cast<double>(lengths[lane]);
    }
  }
  for (int64_t lane = 0; lane < LANES; lane++) {
    sums->power += power[lane];
    for (int64_t bits = 0; bits < 4; bits++) sums->error[bits] += error[bits][lane];
  }
}
