// 16-bit floats as 32-bit ones, exactly. Bytes may lie anywhere. Written in integer operations for every instruction set:
// the loop waits for memory, not for them (bench/kernels.ts), so a processor's own conversion would gain nothing.

// As many lanes as a register has floats.
typedef uint16_t Shorts __attribute__((vector_size(PRISM_VECTOR_BYTES / 2)));
typedef Shorts UnalignedShorts __attribute__((aligned(1), may_alias));

static inline Ints loadShorts(const uint8_t *from) {
  return __builtin_convertvector(*reinterpret_cast<const UnalignedShorts *>(from), Ints);
}

// Neither operand of the subtraction is subnormal, which some processors take a hundred cycles for.
static inline Floats decodedHalves(Ints bits) {
  constexpr int32_t REBIAS = (127 - 15) << 23, EXPONENT = 0x1f << 23, LOWEST = 1 << 23;
  const Ints magnitude = (bits & 0x7fff) << 13;
  const Ints exponent = magnitude & EXPONENT;
  const Ints normal = magnitude + REBIAS;
  // 2^-14 plus the fraction; without the 2^-14 it is what a half without exponent means.
  const Floats raised = reinterpret_cast<Floats>(normal + LOWEST);
  const Ints subnormal = reinterpret_cast<Ints>(raised - 0x1p-14f);
  const Ints finite = exponent == 0 ? subnormal : normal;
  const Ints value = exponent == EXPONENT ? normal + REBIAS : finite;
  return reinterpret_cast<Floats>(value | ((bits & 0x8000) << 16));
}

static inline Floats decodedBrainHalves(Ints bits) { return reinterpret_cast<Floats>(bits << 16); }

static inline Floats decodedShorts(Ints bits, bool brain) { return brain ? decodedBrainHalves(bits) : decodedHalves(bits); }

static inline void decodeShorts(const uint8_t *from, float *to, int64_t count, bool brain) {
  int64_t at = 0;
  for (; at + LANES <= count; at += LANES) store(to + at, decodedShorts(loadShorts(from + 2 * at), brain));
  if (at == count) return;
  alignas(PRISM_VECTOR_BYTES) uint16_t rest[LANES] = {};
  __builtin_memcpy(rest, from + 2 * at, 2 * (count - at));
  const Floats last = decodedShorts(loadShorts(reinterpret_cast<const uint8_t *>(rest)), brain);
  __builtin_memcpy(to + at, &last, 4 * (count - at));
}

static void decodeHalves(const uint8_t *from, float *to, int64_t count) { decodeShorts(from, to, count, false); }

static void decodeBrainHalves(const uint8_t *from, float *to, int64_t count) { decodeShorts(from, to, count, true); }
