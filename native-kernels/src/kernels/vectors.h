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

// In halves: one lane after the other would wait for each addition.
static inline double sumOf(Doubles value) {
  typedef double Part __attribute__((vector_size(16)));
  constexpr int64_t PARTS = PRISM_VECTOR_BYTES / 16;
  Part parts[PARTS];
  __builtin_memcpy(parts, &value, sizeof(parts));
  for (int64_t half = PARTS / 2; half > 0; half /= 2) {
    for (int64_t part = 0; part < half; part++) parts[part] += parts[part + half];
  }
  return parts[0][0] + parts[0][1];
}
static inline float sumOf(Floats value) {
  typedef float Part __attribute__((vector_size(16)));
  constexpr int64_t PARTS = PRISM_VECTOR_BYTES / 16;
  Part parts[PARTS];
  __builtin_memcpy(parts, &value, sizeof(parts));
  for (int64_t half = PARTS / 2; half > 0; half /= 2) {
    for (int64_t part = 0; part < half; part++) parts[part] += parts[part + half];
  }
  return (parts[0][0] + parts[0][2]) + (parts[0][1] + parts[0][3]);
}
static inline Ints truncated(Floats value) { return __builtin_convertvector(value, Ints); }
static inline Floats asFloats(Ints value) { return __builtin_convertvector(value, Floats); }
static inline Floats least(Floats a, Floats b) { return a < b ? a : b; }
static inline Floats greatest(Floats a, Floats b) { return a > b ? a : b; }

// What templates need to know of a number.
template <typename Number> struct VectorOf;
template <> struct VectorOf<float> {
  typedef Floats Vector;
  typedef UnalignedFloats Unaligned;
  typedef Ints Mask;
  static constexpr int64_t LANE_COUNT = LANES;
  // Squares between these neither lose digits nor overflow.
  static constexpr float SMALLEST_SQUARE = 0x1p-80f, LARGEST_SQUARE = 0x1p100f;
};
template <> struct VectorOf<double> {
  typedef Doubles Vector;
  typedef UnalignedDoubles Unaligned;
  typedef Longs Mask;
  static constexpr int64_t LANE_COUNT = DOUBLE_LANES;
  static constexpr double SMALLEST_SQUARE = 0x1p-900, LARGEST_SQUARE = 0x1p900;
};
template <typename Number> static inline typename VectorOf<Number>::Vector load(const Number *from) {
  return *reinterpret_cast<const typename VectorOf<Number>::Unaligned *>(from);
}
