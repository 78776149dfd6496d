// Every kernel, for the instruction set of the file that includes this. No include guard: once per instruction set.
#include "vectors.h"
//
#include "apply-gram.h"
#include "gram.h"
#include "moments.h"
#include "osqe.h"
#include "peak.h"
#include "tridiagonalize.h"
