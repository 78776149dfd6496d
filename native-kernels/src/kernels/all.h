// Every kernel, for the instruction set of the file that includes this. No include guard: once per instruction set.
#include "vectors.h"
//
#include "apply-gram.h"
#include "gram.h"
#include "moments.h"
#include "osqe.h"
#include "peak.h"
#include "tridiagonalize.h"
#undef PRISM_EVEN
#undef PRISM_ODD
#undef PRISM_FIRST_PAIRS
#undef PRISM_LAST_PAIRS
#undef PRISM_SHUFFLE
#undef PRISM_UNROLL
