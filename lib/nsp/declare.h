/* SPDX-License-Identifier: MIT */
/* What the files that declare reads and writes share. */
#ifndef QEFF_NSP_DECLARE_H
#define QEFF_NSP_DECLARE_H

#include "nsp/kernels.h"

/* A tile about to run, its rows [first, end), and who wants to know. */
struct declare {
	const struct qeff_nsp_instance *instance;
	const struct qeff_nsp_op *op;
	const struct qeff_nsp_tile *tile;
	uint32_t first, end;
	void (*visit)(void *user, uint64_t offset, uint64_t size_bytes, bool written);
	void *user;
};

void qeff_nsp_declare_nest(const struct declare *d);
void qeff_nsp_declare_pick(const struct declare *d);
void qeff_nsp_declare_put(const struct declare *d);
void qeff_nsp_declare_sort(const struct declare *d);

#endif
