/* SPDX-License-Identifier: MIT */
/* Behind the last use of a class of numbers: makes room for the next. */
#undef NUMBER
#undef NUMBER_T
#undef NUMBER_TYPE
#undef NUMBER_FLOAT
#undef NUMBER_SIGNED
#undef NUMBER_POWER
#undef NUMBER_APPLY
#undef NUMBER_WIDEN
#undef NUMBER_NARROW
#undef OF_FLOAT
#undef NEGATIVE
#undef IS_NAN
#undef PLUS
#undef MINUS
#undef TIMES
#undef LARGER
#undef SMALLER
