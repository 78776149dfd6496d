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

// Turn x in place into the Householder vector that maps it onto its last component; returns half its square.
static double reflect(double *x, int64_t length, double *offDiagonal) {
  const int64_t end = length - 1;
  const double head = x[end];
  double scale = 0;
  for (int64_t j = 0; j < end; j++) scale = __builtin_fabs(x[j]) > scale ? __builtin_fabs(x[j]) : scale;
  if (scale == 0) {
    *offDiagonal = head;
    for (int64_t j = 0; j < length; j++) x[j] = 0;
    return 0;
  }
  scale = __builtin_fabs(head) > scale ? __builtin_fabs(head) : scale;
  for (int64_t j = 0; j < length; j++) x[j] /= scale;
  const double square = dot(x, x, length);
  const double norm = x[end] >= 0 ? -__builtin_sqrt(square) : __builtin_sqrt(square);
  const double half = square - x[end] * norm;
  *offDiagonal = norm * scale;
  x[end] -= norm;
  return half;
}

// One row of A −= u·qᵀ + q·uᵀ and of p = A·v with the updated A, left of the diagonal; returns the row's product with v.
static double updateRow(double *row, int64_t length, double ui, double qi, double vi, const double *u, const double *q,
                        const double *v, double *p) {
  Doubles sum = {};
  int64_t j = 0;
  for (; j + DOUBLE_LANES <= length; j += DOUBLE_LANES) {
    const Doubles updated = loadDoubles(row + j) - ui * loadDoubles(q + j) - qi * loadDoubles(u + j);
    store(row + j, updated);
    sum += updated * loadDoubles(v + j);
    store(p + j, loadDoubles(p + j) + updated * vi);
  }
  double rest = 0;
  for (; j < length; j++) {
    row[j] = row[j] - ui * q[j] - qi * u[j];
    rest += row[j] * v[j];
    p[j] += row[j] * vi;
  }
  return sumOf(sum) + rest;
}

static void tridiagonalize(double *a, int64_t n, int64_t stride, double *diagonal, double *offDiagonal, double *work) {
  double *u = work, *next = work + n, *q = work + 2 * n, *p = work + 3 * n;
  // u and q of the step before; both 0 at the first one.
  for (int64_t j = 0; j < 4 * n; j++) work[j] = 0;
  for (int64_t last = n - 1; last > 0; last--) {
    const double *row = a + last * stride;
    for (int64_t j = 0; j < last; j++) next[j] = row[j] - u[last] * q[j] - q[last] * u[j];
    diagonal[last] = row[last] - 2 * u[last] * q[last];
    const double h = reflect(next, last, offDiagonal + last);
    for (int64_t i = 0; i < last; i++) {
      double *updated = a + i * stride;
      const double sum = updateRow(updated, i, u[i], q[i], next[i], u, q, next, p);
      updated[i] -= 2 * u[i] * q[i];
      p[i] = sum + updated[i] * next[i];
    }
    const double inverse = h == 0 ? 0 : 1 / h;
    const double half = 0.5 * dot(next, p, last) * inverse * inverse;
    for (int64_t j = 0; j < last; j++) q[j] = p[j] * inverse - half * next[j];
    double *spare = u;
    u = next;
    next = spare;
  }
  if (n > 0) diagonal[0] = a[0] - 2 * u[0] * q[0];
}
