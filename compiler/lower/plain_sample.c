/* SPDX-License-Identifier: MIT */
/*
 * Operators that read an image at points which another tensor has: coordinates are computed, then
 * the elements around each point are picked and mixed.
 */
#include "lower/plain_words.h"

#include <string.h>

#define F32 QEFF_NSP_NUMBER_F32
#define I64 QEFF_NSP_NUMBER_I64

/* x as loops [batch, channels, places..] that only indices move over its last axes. */
struct sampling {
	struct dense_view x, out;
	uint32_t axes;
	int64_t plane[QEFF_GRAPH_MAX_RANK]; /* sizes of batch and places */
	bool zeros;			    /* points outside are 0, not the edge */
};

/* weight * x at the point that @at (F32, whole numbers, one for each axis) names, added to @sum. */
static void add_corner(struct words *w, const struct sampling *s, const struct dense_view *at,
		       const struct dense_view *weight, const struct dense_view *sum, bool first)
{
	struct dense_view picked = words_like(w, s->x.type, &s->out), index, inside, one;
	struct dense_pick pick = { .data = s->x, .other = picked, .components = 1 };
	int64_t all = 1, stride[QEFF_GRAPH_MAX_RANK] = { 0 };

	index = words_like(w, QEFF_NSP_I64, &at[0]);
	inside = words_like(w, QEFF_NSP_F32, &at[0]);
	words_copy(w, weight, &inside);
	for (uint32_t i = s->axes; i--;) {
		stride[i] = all;
		all *= s->x.size[2 + i];
	}
	for (uint32_t i = 0; i < s->axes && !w->rc; i++) {
		double params[2] = { (double)(s->x.size[2 + i] - 1), (double)stride[i] };

		if (s->zeros)
			WORDS_MAP(w, F32, "b 0 < 0 p0 b < 0 a ? ?", params, &inside, &inside,
				  &at[i]);
		if (!i)
			WORDS_MAP(w, I64, "a 0 max p0 min p1 *", params, &index, &at[i]);
		else
			WORDS_MAP(w, I64, "a 0 max p0 min p1 * b +", params, &index, &at[i],
				  &index);
	}
	if (w->rc)
		return;
	one = s->x;
	words_contiguous(w, &one);
	pick.data = one;
	for (uint32_t i = 0; i < s->axes; i++) {
		pick.data.size[2 + i] = s->out.size[2 + i];
		pick.data.stride[2 + i] = 0;
	}
	pick.indices = index;
	dense_insert(&pick.indices, 1, s->out.size[1], 0);
	pick.stride[0] = 1;
	pick.limit[0] = all;
	words_pick(w, &pick);
	dense_insert(&inside, 1, 1, 0);
	if (first)
		WORDS_MAP(w, F32, "a b *", NULL, sum, &picked, &inside);
	else
		WORDS_MAP(w, F32, "a b * c +", NULL, sum, &picked, &inside, sum);
}

/* Coordinates beyond the edges come back: the picture is mirrored again and again between them. */
static void reflect(struct words *w, const struct dense_view *at, double size, bool corners)
{
	double params[3] = { corners ? 0 : -0.5, corners ? size - 1 : size, 0 };

	if (params[1] <= 0) {
		words_fill(w, at, 0);
		return;
	}
	params[2] = 2 * params[1];
	/* |x - low| mod 2 span, then the way back */
	WORDS_MAP(w, F32, "a p0 - abs p2 fmod", params, at, at);
	WORDS_MAP(w, F32, "p1 a < p2 a - a ? p0 +", params, at, at);
}

/* The cubic's weight of the neighbour @step away, at fraction a. */
static const char *const cubic_weights[] = {
	"a 1 + p0 * p0 5 * - a 1 + * p0 8 * + a 1 + * p0 4 * -",
	"p0 2 + a * p0 3 + - a * a * 1 +",
	"1 a - p0 2 + * p0 3 + - 1 a - * 1 a - * 1 +",
	"2 a - p0 * p0 5 * - 2 a - * p0 8 * + 2 a - * p0 4 * -",
};

void plain_grid_sample(struct words *w)
{
	const char *mode = qeff_node_string(w->node, "mode", "linear");
	const char *padding = qeff_node_string(w->node, "padding_mode", "zeros");
	bool corners = words_int(w, "align_corners", 0), reflects = !strcmp(padding, "reflection");
	bool near = !strcmp(mode, "nearest"), cubes = strstr(mode, "cubic");
	uint32_t taps = near ? 1 : cubes ? 4 : 2, points = 1;
	struct dense_view grid, at[QEFF_GRAPH_MAX_RANK], base[QEFF_GRAPH_MAX_RANK];
	struct dense_view part[QEFF_GRAPH_MAX_RANK], weight, corner[QEFF_GRAPH_MAX_RANK], sum;
	struct sampling s = { .x = words_in(w, 0), .out = words_out(w, 0) };

	grid = words_in(w, 1);
	if (w->rc)
		return;
	s.axes = s.x.rank - 2;
	s.zeros = !strcmp(padding, "zeros");
	for (uint32_t i = 0; i < s.axes && !w->rc; i++) {
		/* the grid's last coordinate is that of the first axis */
		struct dense_view from = words_part(&grid, grid.rank - 1, s.axes - 1 - i, 1);
		double size = (double)s.x.size[2 + i], last = size - 1;
		double params[2] = { corners ? last / 2 : size / 2, last / 2 };

		dense_remove(&from, grid.rank - 1);
		at[i] = words_like(w, QEFF_NSP_F32, &from);
		base[i] = words_like(w, QEFF_NSP_F32, &from);
		part[i] = words_like(w, QEFF_NSP_F32, &from);
		corner[i] = words_like(w, QEFF_NSP_F32, &from);
		WORDS_MAP(w, F32, "a p0 * p1 +", params, &at[i], &from);
		if (near)
			WORDS_MAP(w, F32, "a round", NULL, &at[i], &at[i]);
		if (!cubes && reflects)
			reflect(w, &at[i], size, corners);
		if (!cubes && !s.zeros)
			WORDS_MAP(w, F32, "a 0 max p0 min", &last, &at[i], &at[i]);
		WORDS_MAP(w, F32, near ? "a round" : "a floor", NULL, &base[i], &at[i]);
		WORDS_MAP(w, F32, "a b -", NULL, &part[i], &at[i], &base[i]);
		points *= taps;
	}
	weight = words_like(w, QEFF_NSP_F32, &at[0]);
	sum = words_like(w, QEFF_NSP_F32, &s.out);
	for (uint32_t p = 0; p < points && !w->rc; p++) {
		uint32_t rest = p;

		words_fill(w, &weight, 1);
		for (uint32_t i = 0; i < s.axes && !w->rc; i++, rest /= taps) {
			double shift = (double)(rest % taps) - cubes, a = -0.75;
			struct dense_view one = words_like(w, QEFF_NSP_F32, &weight);

			WORDS_MAP(w, F32, "a p0 +", &shift, &corner[i], &base[i]);
			if (near)
				continue;
			if (cubes && reflects)
				reflect(w, &corner[i], (double)s.x.size[2 + i], corners);
			WORDS_MAP(w, F32,
				  cubes		? cubic_weights[rest % taps]
				  : rest % taps ? "a"
						: "1 a -",
				  &a, &one, &part[i]);
			WORDS_MAP(w, F32, "a b *", NULL, &weight, &weight, &one);
		}
		add_corner(w, &s, corner, &weight, &sum, !p);
	}
	words_copy(w, &sum, &s.out);
}
