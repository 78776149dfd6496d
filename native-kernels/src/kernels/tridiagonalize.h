// Householder reduction of a symmetric matrix to tridiagonal form (Golub and Van Loan, Matrix Computations, 8.3;
// EISPACK's tred1). The rank-2 update of one step and the matrix-vector product of the next run in the same pass.

template <typename Number> static inline Number productOf(const Number *a, const Number *b, int64_t length) {
  constexpr int64_t COUNT = VectorOf<Number>::LANE_COUNT;
  typename VectorOf<Number>::Vector even = {}, odd = {};
  int64_t at = 0;
  for (; at + 2 * COUNT <= length; at += 2 * COUNT) {
    even += load(a + at) * load(b + at);
    odd += load(a + at + COUNT) * load(b + at + COUNT);
  }
  Number sum = sumOf(even + odd);
  for (; at < length; at++) sum += a[at] * b[at];
  return sum;
}

static double dot(const double *a, const double *b, int64_t length) { return productOf(a, b, length); }

static void axpy(double scale, const double *x, double *y, int64_t length) {
  int64_t at = 0;
  for (; at + DOUBLE_LANES <= length; at += DOUBLE_LANES) {
    store(y + at, loadDoubles(y + at) + scale * loadDoubles(x + at));
  }
  for (; at < length; at++) y[at] += scale * x[at];
}

// Divide x by its largest magnitude where its square could leave the range of numbers; returns what it was divided by.
template <typename Number> static Number intoRange(Number *x, int64_t length, Number *square) {
  *square = productOf(x, x, length);
  if (*square > VectorOf<Number>::SMALLEST_SQUARE && *square < VectorOf<Number>::LARGEST_SQUARE) return 1;
  Number largest = 0;
  for (int64_t j = 0; j < length; j++) {
    const Number size = x[j] < 0 ? -x[j] : x[j];
    largest = size > largest ? size : largest;
  }
  if (largest == 0) return 1;
  for (int64_t j = 0; j < length; j++) x[j] /= largest;
  *square = productOf(x, x, length);
  return largest;
}

// Turn x in place into the Householder vector that maps it onto its last component; returns half its square.
template <typename Number> static Number reflect(Number *x, int64_t length, Number *offDiagonal) {
  Number square;
  const Number scale = intoRange(x, length, &square);
  const Number head = x[length - 1];
  if (square == head * head) {
    *offDiagonal = head * scale;
    for (int64_t j = 0; j < length; j++) x[j] = 0;
    return 0;
  }
  const Number root = static_cast<Number>(__builtin_sqrt(square));
  const Number norm = head >= 0 ? -root : root;
  *offDiagonal = norm * scale;
  x[length - 1] -= norm;
  return square - head * norm;
}

// Rows that share the loads of vectors.
constexpr int64_t REDUCE_ROWS = 4;

template <typename Number> struct Reduction {
  // Of the step before, and the vector of this one; 0 beyond its length.
  const Number *u, *q, *v;
  // A·v in two parts: what lies below a row's diagonal, and the row itself. In one array the loads of a vector would wait
  // for the stores of numbers.
  Number *p, *sums;
};

// A −= u·qᵀ + q·uᵀ and p = A·v with the updated A, for REDUCE_ROWS rows up to the diagonal. What lies right of it in the
// last vector is overwritten with numbers nobody reads.
template <typename Number>
static inline void reduceRows(Number *a, int64_t stride, int64_t first, const Reduction<Number> &step) {
  typedef typename VectorOf<Number>::Vector Vector;
  constexpr int64_t COUNT = VectorOf<Number>::LANE_COUNT;
  const Number *u = step.u, *q = step.q, *v = step.v;
  Number *p = step.p;
  Number *row = a + first * stride;
  Vector sum[REDUCE_ROWS] = {};
  // Copies, since for all the compiler knows the stores below change them.
  Number ownU[REDUCE_ROWS], ownQ[REDUCE_ROWS], ownV[REDUCE_ROWS];
  for (int64_t r = 0; r < REDUCE_ROWS; r++) {
    ownU[r] = u[first + r];
    ownQ[r] = q[first + r];
    ownV[r] = v[first + r];
  }
  int64_t j = 0;
  for (; j + COUNT <= first; j += COUNT) {
    const Vector uj = load(u + j), qj = load(q + j), vj = load(v + j);
    Vector pj = load(p + j);
    PRISM_UNROLL
    for (int64_t r = 0; r < REDUCE_ROWS; r++) {
      Number *at = row + r * stride + j;
      const Vector updated = load(at) - ownU[r] * qj - ownQ[r] * uj;
      store(at, updated);
      sum[r] += updated * vj;
      pj += updated * ownV[r];
    }
    store(p + j, pj);
  }
  typename VectorOf<Number>::Mask column;
  for (int64_t lane = 0; lane < COUNT; lane++) column[lane] = static_cast<int32_t>(lane);
  for (; j < first + REDUCE_ROWS; j += COUNT) {
    const Vector uj = load(u + j), qj = load(q + j), vj = load(v + j);
    Vector pj = load(p + j);
    PRISM_UNROLL
    for (int64_t r = 0; r < REDUCE_ROWS; r++) {
      Number *at = row + r * stride + j;
      const Vector updated = load(at) - ownU[r] * qj - ownQ[r] * uj;
      store(at, updated);
      sum[r] += (column <= static_cast<int32_t>(first + r - j) ? updated : Vector{}) * vj;
      pj += (column < static_cast<int32_t>(first + r - j) ? updated : Vector{}) * ownV[r];
    }
    store(p + j, pj);
  }
  PRISM_UNROLL
  for (int64_t r = 0; r < REDUCE_ROWS; r++) step.sums[first + r] = sumOf(sum[r]);
}

template <typename Number>
static void reduce(Number *a, int64_t n, int64_t stride, Number *diagonal, Number *offDiagonal, Number *work) {
  Number *u = work, *next = work + stride, *q = work + 2 * stride, *p = work + 3 * stride, *sums = work + 4 * stride;
  // u and q of the step before; both 0 at the first one.
  for (int64_t j = 0; j < 5 * stride; j++) work[j] = 0;
  for (int64_t last = n - 1; last > 0; last--) {
    const Number *row = a + last * stride;
    const Number ul = u[last], ql = q[last];
    for (int64_t j = 0; j < last; j++) next[j] = row[j] - ul * q[j] - ql * u[j];
    diagonal[last] = row[last] - 2 * ul * ql;
    // What the vector two steps before had there.
    for (int64_t j = last; j < n && j < last + 2; j++) next[j] = 0;
    const Number h = reflect(next, last, offDiagonal + last);
    for (int64_t j = 0; j < stride; j++) p[j] = 0;
    for (int64_t i = 0; i < last; i += REDUCE_ROWS) reduceRows(a, stride, i, Reduction<Number>{u, q, next, p, sums});
    for (int64_t j = 0; j < last; j++) p[j] += sums[j];
    const Number inverse = h == 0 ? 0 : 1 / h;
    const Number half = productOf(next, p, last) * inverse * inverse / 2;
    for (int64_t j = 0; j < last; j++) q[j] = p[j] * inverse - half * next[j];
    Number *spare = u;
    u = next;
    next = spare;
  }
  if (n > 0) diagonal[0] = a[0] - 2 * u[0] * q[0];
}

static void tridiagonalize(double *a, int64_t n, int64_t stride, double *diagonal, double *offDiagonal, double *work) {
  reduce(a, n, stride, diagonal, offDiagonal, work);
}

static void tridiagonalizeFloats(float *a, int64_t n, int64_t stride, float *diagonal, float *offDiagonal, float *work) {
  reduce(a, n, stride, diagonal, offDiagonal, work);
}
