// Householder reduction of a symmetric matrix to tridiagonal form (Golub and Van Loan, Matrix Computations, 8.3;
// EISPACK's tred1). The rank-2 update of one step and the matrix-vector product of the next run in the same pass.

static double dot(const double *a, const double *b, int64_t length) {
  Doubles even = {}, odd = {};
  int64_t at = 0;
  for (; at + 2 * DOUBLE_LANES <= length; at += 2 * DOUBLE_LANES) {
    even += loadDoubles(a + at) * loadDoubles(b + at);
    odd += loadDoubles(a + at + DOUBLE_LANES) * loadDoubles(b + at + DOUBLE_LANES);
  }
  double sum = sumOf(even + odd);
  for (; at < length; at++) sum += a[at] * b[at];
  return sum;
}

static void axpy(double scale, const double *x, double *y, int64_t length) {
  int64_t at = 0;
  for (; at + DOUBLE_LANES <= length; at += DOUBLE_LANES) {
    store(y + at, loadDoubles(y + at) + scale * loadDoubles(x + at));
  }
  for (; at < length; at++) y[at] += scale * x[at];
}

// Squares between these neither lose digits nor overflow.
constexpr double SMALLEST_SQUARE = 0x1p-900;
constexpr double LARGEST_SQUARE = 0x1p900;

// Divide x by its largest magnitude where its square could leave the range of 64 bits; returns what it was divided by.
static double intoRange(double *x, int64_t length, double *square) {
  *square = dot(x, x, length);
  if (*square > SMALLEST_SQUARE && *square < LARGEST_SQUARE) return 1;
  double largest = 0;
  for (int64_t j = 0; j < length; j++) largest = __builtin_fabs(x[j]) > largest ? __builtin_fabs(x[j]) : largest;
  if (largest == 0) return 1;
  for (int64_t j = 0; j < length; j++) x[j] /= largest;
  *square = dot(x, x, length);
  return largest;
}

// Turn x in place into the Householder vector that maps it onto its last component; returns half its square.
static double reflect(double *x, int64_t length, double *offDiagonal) {
  double square;
  const double scale = intoRange(x, length, &square);
  const double head = x[length - 1];
  if (square == head * head) {
    *offDiagonal = head * scale;
    for (int64_t j = 0; j < length; j++) x[j] = 0;
    return 0;
  }
  const double norm = head >= 0 ? -__builtin_sqrt(square) : __builtin_sqrt(square);
  *offDiagonal = norm * scale;
  x[length - 1] -= norm;
  return square - head * norm;
}

// Rows that share the loads of vectors.
constexpr int64_t REDUCE_ROWS = 4;

struct Reduction {
  // Of the step before, and the vector of this one; 0 beyond their lengths.
  const double *u, *q, *v;
  // A·v.
  double *p;
};

// A −= u·qᵀ + q·uᵀ and p = A·v with the updated A, for REDUCE_ROWS rows up to the diagonal. What lies right of it in the
// last vector is overwritten with numbers nobody reads.
static inline void reduceRows(double *a, int64_t stride, int64_t first, const Reduction &step) {
  const double *u = step.u, *q = step.q, *v = step.v;
  double *p = step.p;
  double *row = a + first * stride;
  Doubles sum[REDUCE_ROWS] = {};
  int64_t j = 0;
  for (; j + DOUBLE_LANES <= first; j += DOUBLE_LANES) {
    const Doubles uj = loadDoubles(u + j), qj = loadDoubles(q + j), vj = loadDoubles(v + j);
    Doubles pj = loadDoubles(p + j);
    PRISM_UNROLL
    for (int64_t r = 0; r < REDUCE_ROWS; r++) {
      double *at = row + r * stride + j;
      const Doubles updated = loadDoubles(at) - u[first + r] * qj - q[first + r] * uj;
      store(at, updated);
      sum[r] += updated * vj;
      pj += updated * v[first + r];
    }
    store(p + j, pj);
  }
  Longs column;
  for (int64_t lane = 0; lane < DOUBLE_LANES; lane++) column[lane] = lane;
  for (; j < first + REDUCE_ROWS; j += DOUBLE_LANES) {
    const Doubles uj = loadDoubles(u + j), qj = loadDoubles(q + j), vj = loadDoubles(v + j);
    Doubles pj = loadDoubles(p + j);
    PRISM_UNROLL
    for (int64_t r = 0; r < REDUCE_ROWS; r++) {
      double *at = row + r * stride + j;
      const Doubles updated = loadDoubles(at) - u[first + r] * qj - q[first + r] * uj;
      store(at, updated);
      sum[r] += (column + j <= first + r ? updated : Doubles{}) * vj;
      pj += (column + j < first + r ? updated : Doubles{}) * v[first + r];
    }
    store(p + j, pj);
  }
  PRISM_UNROLL
  for (int64_t r = 0; r < REDUCE_ROWS; r++) p[first + r] += sumOf(sum[r]);
}

static void tridiagonalize(double *a, int64_t n, int64_t stride, double *diagonal, double *offDiagonal, double *work) {
  double *u = work, *next = work + stride, *q = work + 2 * stride, *p = work + 3 * stride;
  // u and q of the step before; both 0 at the first one.
  for (int64_t j = 0; j < 4 * stride; j++) work[j] = 0;
  for (int64_t last = n - 1; last > 0; last--) {
    const double *row = a + last * stride;
    const double ul = u[last], ql = q[last];
    for (int64_t j = 0; j < last; j++) next[j] = row[j] - ul * q[j] - ql * u[j];
    diagonal[last] = row[last] - 2 * ul * ql;
    // What the vector two steps before had there.
    for (int64_t j = last; j < n && j < last + 2; j++) next[j] = 0;
    const double h = reflect(next, last, offDiagonal + last);
    for (int64_t j = 0; j < stride; j++) p[j] = 0;
    for (int64_t i = 0; i < last; i += REDUCE_ROWS) reduceRows(a, stride, i, {u, q, next, p});
    const double inverse = h == 0 ? 0 : 1 / h;
    const double half = 0.5 * dot(next, p, last) * inverse * inverse;
    for (int64_t j = 0; j < last; j++) q[j] = p[j] * inverse - half * next[j];
    double *spare = u;
    u = next;
    next = spare;
  }
  if (n > 0) diagonal[0] = a[0] - 2 * u[0] * q[0];
}
