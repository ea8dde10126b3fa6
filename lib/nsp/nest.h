/* SPDX-License-Identifier: MIT */
/*
 * How the loops of a nest are walked, the same for executor, validator and declarations: strips of
 * numbers side by side along one loop, and the other loops around them.
 */
#ifndef QEFF_NSP_NEST_H
#define QEFF_NSP_NEST_H

#include "nsp/kernels.h"

#define NSP_STRIP    256
#define NSP_OPERANDS (QEFF_NSP_NEST_OUT + 1)

static inline bool nsp_is_nest(unsigned int code)
{
	return code >= QEFF_NSP_NEST && code <= QEFF_NSP_SORT;
}

/* The index of an operation's nest. */
static inline uint32_t nsp_nest_index(const struct qeff_nsp_op *op)
{
	switch (op->code) {
	case QEFF_NSP_NEST:
		return op->u.nest.nest;
	case QEFF_NSP_SORT:
		return op->u.sort.nest;
	default:
		return op->u.pick.nest;
	}
}

static inline const struct qeff_nsp_nest *nsp_nest_of(const struct qeff_nsp_program *program,
						      const struct qeff_nsp_op *op)
{
	return &program->nests[nsp_nest_index(op)];
}

/**
 * struct nsp_walk - an operation's way through its nest
 * @kept: loops whose indices are those of results
 * @lane: the loop that strips lie along, or -1: a strip is one number
 * @folds: strips lie along a loop that is folded; then each unit is one result
 * @units: strips of results, that row parts cut
 */
struct nsp_walk {
	uint32_t kept;
	int lane;
	bool folds;
	uint64_t units;
};

static inline uint64_t nsp_strips(uint32_t size)
{
	return ((uint64_t)size + NSP_STRIP - 1) / NSP_STRIP;
}

/* The nest's parts must be sensible (validated, but for overflow: products saturate far below). */
static inline struct nsp_walk nsp_walk_of(const struct qeff_nsp_nest *nest,
					  const struct qeff_nsp_op *op)
{
	uint32_t rank = nest->rank;
	struct nsp_walk walk = { .kept = rank, .units = 1 };

	if (op->code == QEFF_NSP_NEST)
		walk.kept = op->u.nest.kept;
	else if (op->code == QEFF_NSP_SORT)
		walk.kept = rank - 1;
	walk.lane = (int)walk.kept - 1;
	if (op->code == QEFF_NSP_SORT)
		walk.lane = -1; /* a unit is a whole last loop */
	else if (rank > walk.kept &&
		 (!walk.kept || (nest->size[walk.kept - 1] < 16 && nest->size[rank - 1] > 4)))
		walk.folds = true;
	for (uint32_t i = 0; i < walk.kept; i++)
		walk.units *= !walk.folds && (int)i == walk.lane ? nsp_strips(nest->size[i])
								 : nest->size[i];
	if (walk.folds)
		walk.lane = (int)rank - 1;
	return walk;
}

/**
 * struct nsp_unit - where unit @unit of a walk begins
 * @offset: of each operand, in elements
 * @begin, @count: of the lane's loop (all of it where it is folded)
 */
struct nsp_unit {
	int64_t offset[NSP_OPERANDS];
	uint32_t begin, count;
};

static inline struct nsp_unit nsp_unit_of(const struct qeff_nsp_nest *nest,
					  const struct nsp_walk *walk, uint64_t unit)
{
	struct nsp_unit u = { .count = 1 };

	if (walk->folds)
		u.count = nest->size[walk->lane];
	for (uint32_t i = walk->kept; i--;) {
		bool lane = !walk->folds && (int)i == walk->lane;
		uint64_t size = lane ? nsp_strips(nest->size[i]) : nest->size[i];
		uint64_t index = unit % size;

		unit /= size;
		if (lane) {
			index *= NSP_STRIP;
			u.begin = (uint32_t)index;
			u.count = nest->size[i] - u.begin;
			if (u.count > NSP_STRIP)
				u.count = NSP_STRIP;
		}
		for (int o = 0; o < NSP_OPERANDS; o++)
			u.offset[o] += (int64_t)index * nest->stride[o][i];
	}
	return u;
}

/* Steps to the next index of loops [first, end), the last one fastest; false behind the last. */
static inline bool nsp_step(const struct qeff_nsp_nest *nest, uint32_t first, uint32_t end,
			    uint32_t index[QEFF_NSP_NEST_RANK], int64_t offset[NSP_OPERANDS])
{
	for (uint32_t i = end; i-- > first;) {
		if (++index[i] < nest->size[i]) {
			for (int o = 0; o < NSP_OPERANDS; o++)
				offset[o] += nest->stride[o][i];
			return true;
		}
		for (int o = 0; o < NSP_OPERANDS; o++)
			offset[o] -= (int64_t)(nest->size[i] - 1) * nest->stride[o][i];
		index[i] = 0;
	}
	return false;
}

/* An operand's elements lie from @low to @high elements around its place, over loops [0, loops).
 * Saturates at what no memory has. */
static inline void nsp_extent(const struct qeff_nsp_nest *nest, int operand, uint32_t loops,
			      int64_t *low, int64_t *high)
{
	const int64_t most = 1ll << 58;

	*low = *high = 0;
	for (uint32_t i = 0; i < loops; i++) {
		int64_t reach;

		if (__builtin_mul_overflow(nest->stride[operand][i], (int64_t)nest->size[i] - 1,
					   &reach) ||
		    reach > most || reach < -most)
			reach = nest->stride[operand][i] < 0 ? -most : most;
		if (reach < 0)
			*low = *low + reach < -most ? -most : *low + reach;
		else
			*high = *high + reach > most ? most : *high + reach;
	}
}

/* The data that the components of an index reach, besides the nest's own strides. */
static inline void nsp_pick_extent(const struct qeff_nsp_pick_params *p, int64_t *low,
				   int64_t *high)
{
	const int64_t most = 1ll << 58;

	for (uint32_t j = 0; j < p->components; j++) {
		int64_t reach;

		if (__builtin_mul_overflow(p->stride[j], (int64_t)p->limit[j] - 1, &reach) ||
		    reach > most || reach < -most)
			reach = p->stride[j] < 0 ? -most : most;
		if (reach < 0)
			*low = *low + reach < -most ? -most : *low + reach;
		else
			*high = *high + reach > most ? most : *high + reach;
	}
}

#endif
