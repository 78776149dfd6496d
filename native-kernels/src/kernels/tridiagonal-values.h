// Eigenvalues of EIGEN_LANES symmetric tridiagonal matrices at once, one per lane: the root-free QL iteration of Pal, Walker
// and Kahan (Parlett, The Symmetric Eigenvalue Problem, 8.15; LAPACK's dsterf). One matrix alone waits for a division after
// the other; here eight wait together. Lanes do not touch each other: a matrix has the same values in any company.

// Sweeps allowed per eigenvalue, over all of a matrix; under two are usual.
constexpr int64_t MAX_SWEEPS = 30;
// Couplings below this share of the norm are taken as 0: the Householder reduction has left as much rounding.
constexpr double NEGLIGIBLE_COUPLING = 0x1p-52;

// One number for each lane.
typedef double EigenDoubles __attribute__((vector_size(8 * EIGEN_LANES)));
typedef int64_t EigenIndices __attribute__((vector_size(8 * EIGEN_LANES)));
typedef EigenDoubles UnalignedEigenDoubles __attribute__((aligned(8), may_alias));

struct QlState {
  double *diagonal, *squares;
  int64_t order;
  // Row the lanes work on, and the last one of its unreduced block.
  EigenIndices first, end;
  EigenDoubles negligible;
};

static inline UnalignedEigenDoubles &rowOf(double *values, int64_t row) {
  return *reinterpret_cast<UnalignedEigenDoubles *>(values + row * EIGEN_LANES);
}

static inline EigenDoubles rootOf(EigenDoubles values) {
  EigenDoubles root;
  for (int64_t lane = 0; lane < EIGEN_LANES; lane++) root[lane] = __builtin_sqrt(values[lane]);
  return root;
}

static inline EigenDoubles gather(const double *values, EigenIndices rows) {
  EigenDoubles found;
  for (int64_t lane = 0; lane < EIGEN_LANES; lane++) found[lane] = values[rows[lane] * EIGEN_LANES + lane];
  return found;
}

// Find where the lanes' blocks end, and pass by eigenvalues that stand alone; false where all lanes are done.
static bool findBlocks(QlState &state) {
  const int64_t last = state.order - 1;
  int64_t lowest = last;
  for (int64_t lane = 0; lane < EIGEN_LANES; lane++) lowest = state.first[lane] < lowest ? state.first[lane] : lowest;
  if (lowest >= last) return false;
  EigenIndices end = EigenIndices{} + last, following = end, row = end - 1;
  for (int64_t i = last - 1; i >= lowest; i--) {
    const EigenIndices splits = (rowOf(state.squares, i) <= state.negligible) & (row >= state.first);
    following = splits ? end : following;
    end = splits ? row : end;
    row -= 1;
  }
  const EigenIndices alone = (end == state.first) & (state.first < last);
  state.first -= alone;
  state.end = alone ? following : end;
  return true;
}

// One sweep from each lane's end up to its first row, with Wilkinson's shift.
static void qlSweep(const QlState &state) {
  double *diagonal = state.diagonal, *squares = state.squares;
  const EigenIndices first = state.first, end = state.end;
  int64_t lowest = state.order, highest = 0;
  for (int64_t lane = 0; lane < EIGEN_LANES; lane++) {
    if (first[lane] >= end[lane]) continue;
    lowest = first[lane] < lowest ? first[lane] : lowest;
    highest = end[lane] > highest ? end[lane] : highest;
  }
  const EigenIndices working = first < end;
  const EigenIndices second = working ? first + 1 : first;
  const EigenDoubles head = gather(diagonal, first);
  const EigenDoubles square = working ? gather(squares, first) : EigenDoubles{} + 1.0;
  const EigenDoubles coupling = rootOf(square);
  const EigenDoubles ratio = (gather(diagonal, second) - head) / (2 * coupling);
  const EigenDoubles root = rootOf(ratio * ratio + 1);
  const EigenDoubles shift = head - coupling / (ratio >= 0 ? ratio + root : ratio - root);
  EigenDoubles cosine = EigenDoubles{} + 1.0, sine = {}, gamma = gather(diagonal, end) - shift, p = gamma * gamma;
  EigenIndices row = EigenIndices{} + (highest - 1);
  for (int64_t i = highest - 1; i >= lowest; i--) {
    const EigenIndices active = (row >= first) & (row < end);
    const EigenDoubles b = rowOf(squares, i), alpha = rowOf(diagonal, i);
    const EigenDoubles r = p + b, inverse = 1 / r, stretched = r / p;
    UnalignedEigenDoubles &squareBelow = rowOf(squares, i + 1), &below = rowOf(diagonal, i + 1);
    squareBelow = active ? sine * r : squareBelow;
    const EigenDoubles nextCosine = p * inverse, nextSine = b * inverse;
    const EigenDoubles nextGamma = nextCosine * (alpha - shift) - nextSine * gamma;
    below = active ? gamma + (alpha - nextGamma) : below;
    const EigenDoubles nextP = p == 0 ? cosine * b : nextGamma * nextGamma * stretched;
    cosine = active ? nextCosine : cosine;
    sine = active ? nextSine : sine;
    gamma = active ? nextGamma : gamma;
    p = active ? nextP : p;
    row -= 1;
  }
  for (int64_t lane = 0; lane < EIGEN_LANES; lane++) {
    if (first[lane] >= end[lane]) continue;
    const int64_t at = first[lane] * EIGEN_LANES + lane;
    squares[at] = sine[lane] * p[lane];
    diagonal[at] = shift[lane] + gamma[lane];
  }
}

// Both: order × EIGEN_LANES, squares[i] of the coupling of i and i + 1; the diagonals become the eigenvalues, in no order.
static bool tridiagonalValues(double *diagonal, double *squares, int64_t order) {
  EigenDoubles norm = {};
  for (int64_t i = 0; i < order; i++) {
    const EigenDoubles size = rowOf(diagonal, i) * rowOf(diagonal, i) + rowOf(squares, i);
    norm = size > norm ? size : norm;
  }
  QlState state = {diagonal, squares, order, {}, {}, norm * (NEGLIGIBLE_COUPLING * NEGLIGIBLE_COUPLING)};
  for (int64_t sweeps = 0; sweeps <= MAX_SWEEPS * order; sweeps++) {
    if (!findBlocks(state)) return true;
    qlSweep(state);
  }
  return false;
}
