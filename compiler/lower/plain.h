/* SPDX-License-Identifier: MIT */
/* The plain way of every operator of ONNX that has one: loops over dense tensors. */
#ifndef QEFF_LOWER_PLAIN_H
#define QEFF_LOWER_PLAIN_H

#include "lower/select.h"

/* Lowers @node the plain way; 1 if there is none for its operator. */
int qeff_plain_lower(struct select *s, const struct qeff_node *node);
/* Whether there is one. */
bool qeff_plain_has(const char *op);

#endif
