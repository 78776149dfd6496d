// Eigenvalues of symmetric tridiagonal matrices, one per lane of a register: the root-free QL iteration of Pal, Walker
// and Kahan (Parlett, The Symmetric Eigenvalue Problem, 8.15; LAPACK's dsterf). One matrix alone waits for a division after
// the other; here as many wait together as a register has lanes. Lanes do not touch each other: a matrix has the same
// values in any company.

// Sweeps allowed per eigenvalue, over all of a matrix; under two are usual.
constexpr int64_t MAX_SWEEPS = 30;
// Couplings below this share of the norm are taken as 0: the Householder reduction has left as much rounding.
constexpr double NEGLIGIBLE_COUPLING = 0x1p-52;

struct QlState {
  double *diagonal, *squares;
  int64_t order;
  // Row the lanes work on, and the last one of its unreduced block.
  Longs first, end;
  Doubles negligible;
};

static inline UnalignedDoubles &rowOf(double *values, int64_t row) {
  return *reinterpret_cast<UnalignedDoubles *>(values + row * EIGEN_LANES);
}

static inline Doubles rootOf(Doubles values) {
  Doubles root;
  for (int64_t lane = 0; lane < DOUBLE_LANES; lane++) root[lane] = __builtin_sqrt(values[lane]);
  return root;
}

static inline Doubles gather(const double *values, Longs rows) {
  Doubles found;
  for (int64_t lane = 0; lane < DOUBLE_LANES; lane++) found[lane] = values[rows[lane] * EIGEN_LANES + lane];
  return found;
}

// Find where the lanes' blocks end, and pass by eigenvalues that stand alone; false where all lanes are done.
static bool findBlocks(QlState &state) {
  const int64_t last = state.order - 1;
  int64_t lowest = last;
  for (int64_t lane = 0; lane < DOUBLE_LANES; lane++) lowest = state.first[lane] < lowest ? state.first[lane] : lowest;
  if (lowest >= last) return false;
  Longs end = Longs{} + last, following = end, row = end - 1;
  for (int64_t i = last - 1; i >= lowest; i--) {
    const Longs splits = (rowOf(state.squares, i) <= state.negligible) & (row >= state.first);
    following = splits ? end : following;
    end = splits ? row : end;
    row -= 1;
  }
  const Longs alone = (end == state.first) & (state.first < last);
  state.first -= alone;
  state.end = alone ? following : end;
  return true;
}

// One sweep from each lane's end up to its first row, with Wilkinson's shift.
static void qlSweep(const QlState &state) {
  double *diagonal = state.diagonal, *squares = state.squares;
  const Longs first = state.first, end = state.end;
  int64_t lowest = state.order, highest = 0;
  for (int64_t lane = 0; lane < DOUBLE_LANES; lane++) {
    if (first[lane] >= end[lane]) continue;
    lowest = first[lane] < lowest ? first[lane] : lowest;
    highest = end[lane] > highest ? end[lane] : highest;
  }
  const Longs working = first < end;
  const Longs second = working ? first + 1 : first;
  const Doubles head = gather(diagonal, first);
  const Doubles square = working ? gather(squares, first) : Doubles{} + 1.0;
  const Doubles coupling = rootOf(square);
  const Doubles ratio = (gather(diagonal, second) - head) / (2 * coupling);
  const Doubles root = rootOf(ratio * ratio + 1);
  const Doubles shift = head - coupling / (ratio >= 0 ? ratio + root : ratio - root);
  Doubles cosine = Doubles{} + 1.0, sine = {}, gamma = gather(diagonal, end) - shift, p = gamma * gamma;
  Longs row = Longs{} + (highest - 1);
  for (int64_t i = highest - 1; i >= lowest; i--) {
    const Longs active = (row >= first) & (row < end);
    const Doubles b = rowOf(squares, i), alpha = rowOf(diagonal, i);
    const Doubles r = p + b, inverse = 1 / r, stretched = r / p;
    UnalignedDoubles &squareBelow = rowOf(squares, i + 1), &below = rowOf(diagonal, i + 1);
    squareBelow = active ? sine * r : squareBelow;
    const Doubles nextCosine = p * inverse, nextSine = b * inverse;
    const Doubles nextGamma = nextCosine * (alpha - shift) - nextSine * gamma;
    below = active ? gamma + (alpha - nextGamma) : below;
    const Doubles nextP = p == 0 ? cosine * b : nextGamma * nextGamma * stretched;
    cosine = active ? nextCosine : cosine;
    sine = active ? nextSine : sine;
    gamma = active ? nextGamma : gamma;
    p = active ? nextP : p;
    row -= 1;
  }
  for (int64_t lane = 0; lane < DOUBLE_LANES; lane++) {
    if (first[lane] >= end[lane]) continue;
    const int64_t at = first[lane] * EIGEN_LANES + lane;
    squares[at] = sine[lane] * p[lane];
    diagonal[at] = shift[lane] + gamma[lane];
  }
}

// Those of the lanes from `diagonal` and `squares` on.
static bool valuesOfLanes(double *diagonal, double *squares, int64_t order) {
  Doubles norm = {};
  for (int64_t i = 0; i < order; i++) {
    const Doubles size = rowOf(diagonal, i) * rowOf(diagonal, i) + rowOf(squares, i);
    norm = size > norm ? size : norm;
  }
  QlState state = {diagonal, squares, order, {}, {}, norm * (NEGLIGIBLE_COUPLING * NEGLIGIBLE_COUPLING)};
  for (int64_t sweeps = 0; sweeps <= MAX_SWEEPS * order; sweeps++) {
    if (!findBlocks(state)) return true;
    qlSweep(state);
  }
  return false;
}

// Both: order × EIGEN_LANES, squares[i] of the coupling of i and i + 1; the diagonals become the eigenvalues, in no order.
static bool tridiagonalValues(double *diagonal, double *squares, int64_t order) {
  for (int64_t lane = 0; lane < EIGEN_LANES; lane += DOUBLE_LANES) {
    if (!valuesOfLanes(diagonal + lane, squares + lane, order)) return false;
  }
  return true;
}
