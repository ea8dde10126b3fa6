/* SPDX-License-Identifier: MIT */
/*
 * Resize: one axis after the other. How an axis maps is known when the program is compiled: the
 * nearest element is a choice by constant numbers, everything else a product with a constant
 * matrix.
 */
#include "lower/plain_words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct axis {
	int64_t in, out;
	double scale, roi[2];
	const char *coordinates;
};

/* Where in the input the output's element @at lies. */
static double source(const struct axis *a, int64_t at)
{
	const char *mode = a->coordinates;
	double x = (double)at, in = (double)a->in, out = a->scale * in; /* not cut to a number */

	if (!strcmp(mode, "asymmetric"))
		return x / a->scale;
	if (!strcmp(mode, "align_corners"))
		return out <= 1 ? 0 : x * (in - 1) / (out - 1);
	if (!strcmp(mode, "pytorch_half_pixel"))
		return a->out > 1 ? (x + 0.5) / a->scale - 0.5 : 0;
	if (!strcmp(mode, "tf_half_pixel_for_nn"))
		return (x + 0.5) / a->scale;
	if (!strcmp(mode, "tf_crop_and_resize"))
		return a->out > 1 ? a->roi[0] * (in - 1) +
					    x * (a->roi[1] - a->roi[0]) * (in - 1) / (out - 1)
				  : 0.5 * (a->roi[0] + a->roi[1]) * (in - 1);
	if (!strcmp(mode, "half_pixel_symmetric")) {
		/* the output may be a little smaller than the scale says: both keep their middle */
		double adjust = (double)a->out / out;

		return in / 2 * (1 - adjust) + (x + 0.5) / a->scale - 0.5;
	}
	return (x + 0.5) / a->scale - 0.5;
}

static bool outside(const struct axis *a, double x)
{
	return !strcmp(a->coordinates, "tf_crop_and_resize") && (x < 0 || x > (double)(a->in - 1));
}

static int64_t nearest(const struct axis *a, const char *mode, double x)
{
	double at;

	if (!strcmp(mode, "floor"))
		at = floor(x);
	else if (!strcmp(mode, "ceil"))
		at = ceil(x);
	else if (!strcmp(mode, "round_prefer_ceil"))
		at = floor(x + 0.5);
	else
		at = ceil(x - 0.5);
	return at < 0 ? 0 : at > (double)(a->in - 1) ? a->in - 1 : (int64_t)at;
}

static double cubic(double x, double a)
{
	x = fabs(x);
	if (x <= 1)
		return ((a + 2) * x - (a + 3)) * x * x + 1;
	return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/*
 * Weights of the inputs for one output: @reach elements on either side of @x, or, smoothed against
 * aliases where it shrinks, as many more as the scale says. Elements beyond the edges are the edge,
 * or do not count.
 */
static void weigh(const struct words *w, const struct axis *a, double x, float *row)
{
	bool cubes = !strcmp(qeff_node_string(w->node, "mode", "nearest"), "cubic");
	bool smooth = words_int(w, "antialias", 0) && a->scale < 1;
	bool exclude = words_int(w, "exclude_outside", 0), normal = exclude || smooth;
	double coefficient = words_float(w, "cubic_coeff_a", -0.75), sum = 0;
	double shrink = smooth ? a->scale : 1, reach = (cubes ? 2 : 1) / shrink;
	int64_t first = (int64_t)floor(x - reach) + !smooth, last = (int64_t)ceil(x + reach);

	if (!smooth) /* x between its neighbours, the lower one included */
		first = (int64_t)floor(x) - (cubes ? 1 : 0), last = first + (cubes ? 3 : 1);
	for (int64_t i = first; i <= last; i++) {
		double distance = (x - (double)i) * shrink, weight;
		int64_t at = i < 0 ? 0 : i >= a->in ? a->in - 1 : i;

		weight = cubes ? cubic(distance, coefficient) : fmax(0, 1 - fabs(distance));
		if (exclude && at != i)
			continue;
		row[at] += (float)weight;
		sum += weight;
	}
	for (int64_t i = 0; normal && sum != 0 && i < a->in; i++)
		row[i] = (float)(row[i] / sum);
}

/* The sizes of @x, but @size in @axis. */
static struct dense_view resized(struct words *w, const struct dense_view *x, uint32_t axis,
				 int64_t size)
{
	struct dense_view view = *x;

	view.size[axis] = size;
	return words_like(w, x->type, &view);
}

static struct dense_view choose(struct words *w, const struct axis *a, const struct dense_view *x,
				uint32_t axis)
{
	const char *mode = qeff_node_string(w->node, "nearest_mode", "round_prefer_floor");
	struct dense_view out = resized(w, x, axis, a->out), where;
	struct dense_pick pick = { .data = *x, .other = out, .components = 1 };
	int64_t *table = words_table(w, a->out, 1, sizeof(*table));

	if (!table)
		return out;
	for (int64_t i = 0; i < a->out; i++)
		table[i] = nearest(a, mode, source(a, i));
	where = words_constant(w, QEFF_NSP_I64, 1, &a->out, table);
	free(table);
	for (uint32_t i = 0; i < x->rank && !w->rc; i++)
		if (i != axis)
			dense_insert(&where, i, x->size[i], 0);
	pick.indices = where;
	pick.stride[0] = x->stride[axis];
	pick.limit[0] = x->size[axis];
	pick.data.size[axis] = a->out;
	pick.data.stride[axis] = 0;
	words_pick(w, &pick);
	return out;
}

static struct dense_view interpolate(struct words *w, const struct axis *a,
				     const struct dense_view *x, uint32_t axis)
{
	struct dense_view out = resized(w, x, axis, a->out), matrix, from = *x;
	int64_t size[2] = { a->out, a->in }, loops[DENSE_MAX_RANK];
	float *table = words_table(w, a->out, a->in, sizeof(*table));

	if (!table)
		return out;
	for (int64_t i = 0; i < a->out; i++)
		weigh(w, a, source(a, i), table + i * a->in);
	matrix = words_constant(w, QEFF_NSP_F32, 2, size, table);
	free(table);
	if (w->rc)
		return out;
	for (uint32_t i = 0; i < x->rank; i++)
		if (i != axis)
			dense_insert(&matrix, i, 1, 0);
	dense_insert(&from, from.rank, a->in, from.stride[axis]);
	from.size[axis] = a->out;
	from.stride[axis] = 0;
	memcpy(loops, from.size, sizeof(loops));
	WORDS_FOLD(w, QEFF_NSP_NUMBER_F32, QEFF_NSP_FOLD_SUM, "a b *", NULL, &out, from.rank, loops,
		   &from, &matrix);
	return out;
}

/* What lies outside the region is the given number. */
static struct dense_view extrapolate(struct words *w, const struct axis *a,
				     const struct dense_view *x, uint32_t axis)
{
	double value = words_float(w, "extrapolation_value", 0);
	struct dense_view out = words_like(w, x->type, x), mask;
	uint8_t *table = words_table(w, a->out, 1, 1);

	if (!table)
		return out;
	for (int64_t i = 0; i < a->out; i++)
		table[i] = outside(a, source(a, i));
	mask = words_constant(w, QEFF_NSP_U8, 1, &a->out, table);
	free(table);
	for (uint32_t i = axis + 1; i < x->rank && !w->rc; i++)
		dense_insert(&mask, mask.rank, 1, 0);
	WORDS_MAP(w, dense_number(x->type), "b p0 a ?", &value, &out, x, &mask);
	return out;
}

void plain_resize(struct words *w)
{
	const char *mode = qeff_node_string(w->node, "mode", "nearest");
	const char *coordinates =
		qeff_node_string(w->node, "coordinate_transformation_mode", "half_pixel");
	struct dense_view x = words_in(w, 0);
	struct qeff_resize r;

	if (!w->rc)
		w->rc = qeff_op_resize(w->node, &r, w->s->err);
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < x.rank && !w->rc; i++) {
			struct axis a = { .in = w->node->inputs[0]->shape.dims[i].size,
					  .out = r.out[i],
					  .scale = r.scale[i],
					  .roi = { r.roi[0][i], r.roi[1][i] },
					  .coordinates = coordinates };

			if (a.in == a.out && a.scale == 1 && a.roi[0] == 0 && a.roi[1] == 1)
				continue;
			if (!pass)
				x = strcmp(mode, "nearest") ? interpolate(w, &a, &x, i)
							    : choose(w, &a, &x, i);
			else if (!strcmp(coordinates, "tf_crop_and_resize"))
				x = extrapolate(w, &a, &x, i);
		}
	words_alias(w, 0, &x);
}
