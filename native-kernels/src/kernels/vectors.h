// Vectors of one register's width, as GCC and Clang spell them. No include guard: compiled once per instruction set.
#if defined(__clang__)
#define PRISM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define PRISM_UNROLL _Pragma("GCC unroll 16")
#endif

constexpr int64_t LANES = PRISM_VECTOR_BYTES / 4;
constexpr int64_t DOUBLE_LANES = PRISM_VECTOR_BYTES / 8;

typedef float Floats __attribute__((vector_size(PRISM_VECTOR_BYTES)));
typedef int32_t Ints __attribute__((vector_size(PRISM_VECTOR_BYTES)));
typedef double Doubles __attribute__((vector_size(PRISM_VECTOR_BYTES)));
// As many lanes as a register has doubles.
typedef float HalfFloats __attribute__((vector_size(PRISM_VECTOR_BYTES / 2)));
typedef int64_t Longs __attribute__((vector_size(PRISM_VECTOR_BYTES)));
// As many lanes as a register has floats.
typedef double WideDoubles __attribute__((vector_size(2 * PRISM_VECTOR_BYTES)));

typedef Floats UnalignedFloats __attribute__((aligned(4), may_alias));
typedef Ints UnalignedInts __attribute__((aligned(4), may_alias));
typedef HalfFloats UnalignedHalfFloats __attribute__((aligned(4), may_alias));
typedef Doubles UnalignedDoubles __attribute__((aligned(8), may_alias));

static inline Floats loadFloats(const float *from) { return *reinterpret_cast<const UnalignedFloats *>(from); }
static inline Ints loadBits(const float *from) { return *reinterpret_cast<const UnalignedInts *>(from); }
static inline Doubles loadDoubles(const double *from) { return *reinterpret_cast<const UnalignedDoubles *>(from); }
static inline Doubles loadWidened(const float *from) {
  return __builtin_convertvector(*reinterpret_cast<const UnalignedHalfFloats *>(from), Doubles);
}
static inline void store(double *to, Doubles value) { *reinterpret_cast<UnalignedDoubles *>(to) = value; }
static inline void store(float *to, Floats value) { *reinterpret_cast<UnalignedFloats *>(to) = value; }

static inline double sumOf(Doubles value) {
  double sum = 0;
  for (int64_t lane = 0; lane < DOUBLE_LANES; lane++) sum += value[lane];
  return sum;
}
static inline float sumOf(Floats value) {
  float sum = 0;
  for (int64_t lane = 0; lane < LANES; lane++) sum += value[lane];
  return sum;
}
static inline Ints truncated(Floats value) { return __builtin_convertvector(value, Ints); }
static inline Floats asFloats(Ints value) { return __builtin_convertvector(value, Floats); }
static inline Floats least(Floats a, Floats b) { return a < b ? a : b; }
static inline Floats greatest(Floats a, Floats b) { return a > b ? a : b; }

#if PRISM_VECTOR_BYTES == 64
#define PRISM_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define PRISM_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define PRISM_FIRST_PAIRS 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define PRISM_LAST_PAIRS 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif PRISM_VECTOR_BYTES == 32
#define PRISM_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define PRISM_ODD 1, 3, 5, 7, 9, 11, 13, 15
#define PRISM_FIRST_PAIRS 0, 8, 1, 9, 2, 10, 3, 11
#define PRISM_LAST_PAIRS 4, 12, 5, 13, 6, 14, 7, 15
#else
#define PRISM_EVEN 0, 2, 4, 6
#define PRISM_ODD 1, 3, 5, 7
#define PRISM_FIRST_PAIRS 0, 4, 1, 5
#define PRISM_LAST_PAIRS 2, 6, 3, 7
#endif
#if defined(__clang__) || __GNUC__ >= 12
#define PRISM_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PRISM_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (Ints){__VA_ARGS__})
#endif

// Pairs of 32-bit numbers as 64-bit ones, for the first and the last half of the lanes; little-endian.
struct Pairs {
  Longs first, last;
};
static inline Pairs pairs(Ints lower, Ints upper) {
  return {reinterpret_cast<Longs>(PRISM_SHUFFLE(lower, upper, PRISM_FIRST_PAIRS)),
          reinterpret_cast<Longs>(PRISM_SHUFFLE(lower, upper, PRISM_LAST_PAIRS))};
}
static inline Ints lowerOf(Pairs pairs) {
  return PRISM_SHUFFLE(reinterpret_cast<Ints>(pairs.first), reinterpret_cast<Ints>(pairs.last), PRISM_EVEN);
}
static inline Ints upperOf(Pairs pairs) {
  return PRISM_SHUFFLE(reinterpret_cast<Ints>(pairs.first), reinterpret_cast<Ints>(pairs.last), PRISM_ODD);
}
static inline Pairs operator+(Pairs a, Pairs b) { return {a.first + b.first, a.last + b.last}; }
