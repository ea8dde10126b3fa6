/* SPDX-License-Identifier: MIT */
/* Choosing a specialisation by the shapes of the inputs. */
#ifndef QEFF_RUNTIME_SHAPES_H
#define QEFF_RUNTIME_SHAPES_H

#include "util/error.h"

#include <qeff/qpc.h>
#include <qeff/session.h>

#include <stdbool.h>
#include <stdint.h>

/* The shape an application gave to an input; @given is false until it has. */
struct qeff_given {
	bool given;
	uint32_t num_dims;
	int32_t dims[QEFF_MAX_DIMS];
};

/* 0 if some specialisation has input @input in the shape @dims, else -EINVAL with a sentence that
 * lists the shapes there are. */
int qeff_shapes_check(const struct qeff_network *network, uint32_t input, const int32_t *dims,
		      uint32_t num_dims, struct qeff_error *err);

/* The first specialisation with the shapes of all inputs @given (by number), or -EINVAL. */
int qeff_shapes_choose(const struct qeff_network *network, const struct qeff_given *given,
		       uint32_t *specialisation, struct qeff_error *err);

#endif
