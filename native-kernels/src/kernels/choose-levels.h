// Levels of a block of columns, column by column, for LANES rows at a time: each column's target is its weight less what
// the errors of the columns before it ask for. Scales are chosen when their first column is reached: by then the targets
// are no longer those that ggml saw.

static inline Floats nearestInteger(Floats value) { return value + 0x1.8p23f - 0x1.8p23f; }

static inline Floats nearestOf(const float *table, int64_t count, Floats value) {
  Floats best = Floats{} + table[0];
  for (int64_t at = 1; at < count; at++) best = value > 0.5f * (table[at - 1] + table[at]) ? Floats{} + table[at] : best;
  return best;
}

static inline Floats levelOf(const LevelChoice &choice, Floats wanted, Floats scale, Floats offset) {
  const Floats steps = scale == 0.0f ? Floats{} : (wanted - offset) / (scale == 0.0f ? Floats{} + 1.0f : scale);
  if (choice.table != nullptr) return nearestOf(choice.table, choice.tableCount, steps);
  return nearestInteger(least(greatest(steps, Floats{} + choice.lowest), Floats{} + choice.highest));
}

// What the errors of the columns from `from` to `to` leave of a target.
static inline Floats fedBack(const float *feedback, int64_t from, int64_t to, const float *error, Floats start) {
  Floats even = start, odd = {};
  int64_t k = from;
  for (; k + 2 <= to; k += 2) {
    even -= feedback[k] * loadFloats(error + k * LANES);
    odd -= feedback[k + 1] * loadFloats(error + (k + 1) * LANES);
  }
  if (k < to) even -= feedback[k] * loadFloats(error + k * LANES);
  return even + odd;
}

// Targets were no column of the block rounded, as they make up for the errors before it. All: columns × LANES.
static void moveTargets(int64_t columns, const float *feedback, int64_t feedbackStride, const float *target,
                        const float *weight, float *shift, float *moved) {
  for (int64_t j = 0; j < columns; j++) {
    const Floats wanted = fedBack(feedback + j * feedbackStride, 0, j, shift, loadFloats(target + j * LANES));
    store(moved + j * LANES, wanted);
    store(shift + j * LANES, wanted - loadFloats(weight + j * LANES));
  }
}

// Steps tried on either side of ggml's.
constexpr int64_t SCALE_REACH = 3;
constexpr int64_t OFFSET_REACH = 2;

// The steps of a group under which its targets lie nearest to levels.
static inline void chooseSteps(const LevelChoice &choice, int64_t group, const float *target) {
  const int64_t first = group * choice.groupColumns, at = group * LANES;
  const Floats superScale = loadFloats(choice.superScale), superOffset = loadFloats(choice.superOffset);
  const Floats step = loadFloats(choice.scaleStep + at), offsetStep = loadFloats(choice.offsetStep + at);
  Floats bestError = Floats{} + __builtin_inff(), bestStep = step, bestOffset = offsetStep;
  const int64_t offsetReach = choice.mostOffset > 0 ? OFFSET_REACH : 0;
  for (int64_t byOffset = -offsetReach; byOffset <= offsetReach; byOffset++) {
    const Floats tried = least(greatest(offsetStep + (float)byOffset, Floats{}), Floats{} + choice.mostOffset);
    const Floats offset = superOffset * tried;
    for (int64_t by = -SCALE_REACH; by <= SCALE_REACH; by++) {
      const Floats triedStep = least(greatest(step + (float)by, Floats{}), Floats{} + choice.mostScale);
      const Floats scale = superScale * (triedStep - choice.scaleZero);
      Floats error = {};
      for (int64_t j = first; j < first + choice.groupColumns; j++) {
        const Floats wanted = loadFloats(target + j * LANES);
        const Floats far = (scale * levelOf(choice, wanted, scale, offset) + offset - wanted) * choice.pivots[j];
        error += far * far;
      }
      const Ints better = error < bestError;
      bestError = better ? error : bestError;
      bestStep = better ? triedStep : bestStep;
      bestOffset = better ? tried : bestOffset;
    }
  }
  store(choice.scaleStep + at, bestStep);
  store(choice.offsetStep + at, bestOffset);
}

static inline const float *feedbackOf(const LevelChoice &choice, int64_t j) {
  return choice.feedback + j * choice.feedbackStride;
}

static inline Floats scaleOf(const LevelChoice &choice, int64_t group) {
  return loadFloats(choice.superScale) * (loadFloats(choice.scaleStep + group * LANES) - choice.scaleZero);
}

static inline Floats offsetOf(const LevelChoice &choice, int64_t group) {
  return loadFloats(choice.superOffset) * loadFloats(choice.offsetStep + group * LANES);
}

// `target`, `weight`, `error` and `level`: columns × LANES.
static void chooseLevels(const LevelChoice &choice, float *target, const float *weight, float *error, float *level) {
  for (int64_t first = 0; first < choice.columns; first += choice.groupColumns) {
    const int64_t group = first / choice.groupColumns;
    for (int64_t j = first; j < first + choice.groupColumns; j++) {
      store(target + j * LANES, fedBack(feedbackOf(choice, j), 0, first, error, loadFloats(target + j * LANES)));
    }
    if (choice.search) chooseSteps(choice, group, target);
    const Floats scale = scaleOf(choice, group), offset = offsetOf(choice, group);
    for (int64_t j = first; j < first + choice.groupColumns; j++) {
      const Floats wanted = fedBack(feedbackOf(choice, j), first, j, error, loadFloats(target + j * LANES));
      const Floats chosen = levelOf(choice, wanted, scale, offset);
      store(target + j * LANES, wanted);
      store(level + j * LANES, chosen);
      store(error + j * LANES, scale * chosen + offset - loadFloats(weight + j * LANES));
    }
  }
}

// Choose levels anew, each for the others as they stand (coordinate descent on the block's part of e·H·eᵀ), while some
// change and at most `sweeps` times. `factor`: the block's own triangle of R, row k what an error of column k does to the
// distances of the columns from k on; `powers`: Σ of the squares of each of its rows; `distance`: that of what is stored from
// its target, times the pivot, after chooseLevels and when all is done.
static void refineLevels(const LevelChoice &choice, int64_t sweeps, const float *factor, const float *powers,
                         const float *weight, const float *target, float *error, float *level, float *distance) {
  for (int64_t j = 0; j < choice.columns; j++) {
    const int64_t at = j * LANES;
    store(distance + at, choice.pivots[j] * (loadFloats(error + at) + loadFloats(weight + at) - loadFloats(target + at)));
  }
  bool changed = true;
  for (int64_t sweep = 0; sweep < sweeps && changed; sweep++) {
    changed = false;
    for (int64_t k = 0; k < choice.columns; k++) {
      const float *row = factor + k * choice.columns;
      Floats even = {}, odd = {};
      int64_t j = k;
      for (; j + 2 <= choice.columns; j += 2) {
        even += row[j] * loadFloats(distance + j * LANES);
        odd += row[j + 1] * loadFloats(distance + (j + 1) * LANES);
      }
      if (j < choice.columns) even += row[j] * loadFloats(distance + j * LANES);
      const int64_t group = k / choice.groupColumns;
      const Floats scale = scaleOf(choice, group), offset = offsetOf(choice, group), old = loadFloats(level + k * LANES);
      const Floats chosen = levelOf(choice, scale * old + offset - (even + odd) / powers[k], scale, offset);
      const Floats step = scale * (chosen - old);
      if (!(sumOf(step * step) > 0)) continue;
      changed = true;
      store(level + k * LANES, chosen);
      store(error + k * LANES, scale * chosen + offset - loadFloats(weight + k * LANES));
      for (j = k; j < choice.columns; j++) {
        store(distance + j * LANES, loadFloats(distance + j * LANES) + row[j] * step);
      }
    }
  }
}
