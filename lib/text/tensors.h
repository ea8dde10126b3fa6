/* SPDX-License-Identifier: MIT */
/* Tensors of a session as the code here takes them: a package may declare anything. */
#ifndef QEFF_TEXT_TENSORS_H
#define QEFF_TEXT_TENSORS_H

#include "util/error.h"

#include <qeff/session.h>

/* The memory of an int64 input, [@rows][@columns] from now on. */
int qeff_input_ids(struct qeff_session *session, const char *name, uint32_t rows, uint32_t columns,
		   int64_t **data, struct qeff_error *err);

/* The memory of an input of numbers of @type, the same way. */
int qeff_input_matrix(struct qeff_session *session, const char *name, enum qeff_type type,
		      uint32_t rows, uint32_t columns, void **data, struct qeff_error *err);

/* An output of the last inference that is @count float32 numbers. */
int qeff_output_floats(struct qeff_session *session, const char *name, size_t count,
		       const float **data, struct qeff_error *err);

#endif
