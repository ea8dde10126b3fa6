/* SPDX-License-Identifier: MIT */
/* All classes of numbers, one after the other; NUMBER_ALSO is a header that is wanted once for
 * each. */
#define NUMBER(name)  i64_##name
#define NUMBER_T      int64_t
#define NUMBER_TYPE   QEFF_NSP_I64
#define NUMBER_FLOAT  0
#define NUMBER_SIGNED 1
#define NUMBER_POWER  nsp_power_i64
#include "nsp/kernel_number.h"
#ifdef NUMBER_ALSO
#include NUMBER_ALSO
#endif
#include "nsp/kernel_number_end.h"

#define NUMBER(name)  u64_##name
#define NUMBER_T      uint64_t
#define NUMBER_TYPE   QEFF_NSP_U64
#define NUMBER_FLOAT  0
#define NUMBER_SIGNED 0
#define NUMBER_POWER  nsp_power_u64
#include "nsp/kernel_number.h"
#ifdef NUMBER_ALSO
#include NUMBER_ALSO
#endif
#include "nsp/kernel_number_end.h"

#define NUMBER(name)  f64_##name
#define NUMBER_T      double
#define NUMBER_TYPE   QEFF_NSP_F64
#define NUMBER_FLOAT  1
#define NUMBER_SIGNED 1
#define NUMBER_POWER  nsp_f64_pow
#include "nsp/kernel_number.h"
#ifdef NUMBER_ALSO
#include NUMBER_ALSO
#endif
#include "nsp/kernel_number_end.h"

#define NUMBER(name)  f32_##name
#define NUMBER_T      float
#define NUMBER_TYPE   QEFF_NSP_F32
#define NUMBER_FLOAT  1
#define NUMBER_SIGNED 1
#define NUMBER_POWER  nsp_pow
#define NUMBER_APPLY  nsp_apply
#define NUMBER_WIDEN  vf_widen
#define NUMBER_NARROW vf_narrow
#include "nsp/kernel_number.h"
#ifdef NUMBER_ALSO
#include NUMBER_ALSO
#endif
#include "nsp/kernel_number_end.h"
