// Every kernel, for the instruction set of the file that includes this. No include guard: once per instruction set.
#include "vectors.h"
//
#include "apply-gram.h"
#include "choose-levels.h"
#include "decode.h"
#include "gram.h"
#include "log-softmax.h"
#include "moments.h"
#include "osqe.h"
#include "peak.h"
#include "products.h"
#include "read.h"
#include "squared-error.h"
#include "tridiagonal-values.h"
#include "tridiagonalize.h"
#undef PRISM_UNROLL
// In the order of struct Kernels.
#define PRISM_KERNELS                                                                                                  \
  moments, osqe, gram, gramFloats, tridiagonalize, tridiagonalizeFloats, tridiagonalValues, applyGram, dot, axpy,      \
      peak, readAll, decodeHalves, decodeBrainHalves, power, squaredError, logitsRange, sumOfExponentials,             \
      encodeLogits, firstMaximum, divergence, gramStrip, subtractProducts, LANES, moveTargets, chooseLevels, refineLevels
