/* SPDX-License-Identifier: MIT */
/* Rotations and cached attention as other exporters write them out, and what looks like them. */
#ifndef QEFF_TESTS_FOREIGN_DECODER_H
#define QEFF_TESTS_FOREIGN_DECODER_H

#include "graph_maker.h"

#define BATCH	  2
#define ROWS	  4
#define PAST	  8
#define KEYS	  (PAST + ROWS)
#define HEADS	  2
#define DIM	  8
#define WIDTH	  16
#define VOCAB	  40
#define POSITIONS 12

/* How x is turned, or where angles come from, in a rotation. */
enum turn {
	HALVES,
	NEIGHBOURS,
	OFFSET,	 /* angles of the position behind */
	COLUMNS, /* angles are constants, positions are columns */
	/* from here on none of ours */
	PART,	      /* of a head, the rest stays */
	WRONG_SIGN,   /* (b, -a) */
	SWAPPED,      /* (-a, b): halves that stay where they are */
	UNSIGNED,     /* (b, a) */
	MAGNITUDES,   /* (-|b|, |a|) */
	MIXED,	      /* halves are turned by angles of neighbours */
	UNEVEN,	      /* halves have angles of their own */
	DIFFERENCE,   /* less, not more */
	OTHERS,	      /* angles of positions less the first row's */
	ROWS_NOT_IDS, /* angles are constants, positions an input */
	NUM_TURNS
};

/* What a cached attention does, or else it is taken. */
enum cache {
	PLAIN,
	SCALED_OWN, /* before it is cached */
	SCALED_ALL, /* behind the cache, by a number */
	ROTATED,    /* queries and keys have rotary positions */
	/* from here on none of ours, but left as it is */
	WRONG_AXIS,
	PRESENT_FIRST, /* own keys stand before earlier ones */
	WINDOW,
	LEAKING,      /* the mask adds a little everywhere */
	PAST_READ,    /* keys of earlier tokens go out as well */
	SCALED_PAST,  /* earlier keys, each time anew */
	SCALED_WIDTH, /* behind the cache, each number by its own */
	OTHER_NAME,   /* not past_key_values */
	NOT_HANDED_OUT,
	CROSSED, /* keys go out as values, values as keys */
	SHARED_POSITIONS,
	/* and these are refused */
	MASK_READ,
	PRESENT_READ,
	NUM_CACHES
};

static inline struct qeff_value *join(struct maker *m, struct qeff_value *a, struct qeff_value *b,
				      int64_t axis)
{
	const struct qeff_attribute attribute = QEFF_INT("axis", axis);

	return op(m, "Concat", 2, (struct qeff_value *[]){ a, b }, 1, &attribute);
}

static inline struct qeff_value *cast(struct maker *m, struct qeff_value *value,
				      enum qeff_graph_type to)
{
	const struct qeff_attribute attribute = QEFF_INT("to", to);

	return op(m, "Cast", 1, &value, 1, &attribute);
}

static inline struct qeff_value *slice(struct maker *m, struct qeff_value *x, int64_t from,
				       int64_t to, int64_t axis, int64_t step)
{
	return OP(m, "Slice", x, integers(m, 1, SIZE(from)), integers(m, 1, SIZE(to)),
		  integers(m, 1, SIZE(axis)), integers(m, 1, SIZE(step)));
}

static inline struct qeff_value *transpose(struct maker *m, struct qeff_value *x,
					   const int64_t *order)
{
	const struct qeff_attribute perm = QEFF_INTS("perm", 4, order);

	return op(m, "Transpose", 1, &x, 1, &perm);
}

static inline struct qeff_value *heads(struct maker *m, struct qeff_value *x, int64_t count)
{
	x = OP(m, "Reshape", x, integers(m, 4, SIZE(BATCH, ROWS, count, DIM)));
	return transpose(m, x, SIZE(0, 2, 1, 3));
}

static inline struct qeff_value *rows_of(struct maker *m, struct qeff_value *x, int64_t width)
{
	x = transpose(m, x, SIZE(0, 2, 1, 3));
	return OP(m, "Reshape", x, integers(m, 3, SIZE(BATCH, ROWS, width)));
}

static inline struct qeff_value *ids(struct maker *m, const char *name, int64_t batch,
				     int64_t columns)
{
	const struct qeff_dim dims[] = { qeff_dim_of(batch), qeff_dim_of(columns) };

	return qeff_graph_input(m->graph, name, QEFF_GRAPH_I64, 2, dims);
}

static void give(struct maker *m, struct qeff_value *value, const char *name)
{
	qeff_graph_rename(m->graph, value, name);
	qeff_graph_output(m->graph, value);
}

/* ---- rotations ---- */

/* [BATCH, ROWS, width]: each pair's angle, twice. */
static inline struct qeff_value *angles(struct maker *m, struct qeff_value *positions,
					int64_t width, enum turn turn)
{
	struct qeff_value *frequencies = weights(m, 1, SIZE(width / 2)), *half, *other;
	bool pairs = turn == NEIGHBOURS || turn == MIXED;

	if (turn == OFFSET)
		positions = OP(m, "Add", positions, integers(m, 1, SIZE(1)));
	if (turn == OTHERS)
		positions = OP(m, "Sub", positions, slice(m, positions, 0, 1, 1, 1));
	half = OP(m, "Unsqueeze", cast(m, positions, QEFF_GRAPH_F32), integers(m, 1, SIZE(2)));
	half = OP(m, "Mul", half, frequencies);
	if (turn == UNEVEN)
		other = OP(m, "Mul", half, number(m, 2));
	else
		other = half;
	if (!pairs)
		return join(m, half, other, -1);
	half = OP(m, "Unsqueeze", half, integers(m, 1, SIZE(3)));
	half = join(m, half, half, -1);
	return OP(m, "Reshape", half, integers(m, 3, SIZE(BATCH, ROWS, width)));
}

static inline struct qeff_value *turned(struct maker *m, struct qeff_value *x, int64_t width,
					enum turn turn)
{
	int64_t half = width / 2;
	struct qeff_value *a, *b;

	if (turn == NEIGHBOURS) {
		a = OP(m, "Unsqueeze", slice(m, x, 0, width, 3, 2), integers(m, 1, SIZE(4)));
		b = OP(m, "Unsqueeze", slice(m, x, 1, width, 3, 2), integers(m, 1, SIZE(4)));
		a = join(m, OP(m, "Neg", b), a, -1);
		return OP(m, "Reshape", a, integers(m, 4, SIZE(BATCH, HEADS, ROWS, width)));
	}
	a = slice(m, x, 0, half, 3, 1);
	b = slice(m, x, half, width, 3, 1);
	if (turn == MAGNITUDES) {
		a = OP(m, "Abs", a);
		b = OP(m, "Abs", b);
	}
	if (turn == WRONG_SIGN)
		return join(m, b, OP(m, "Neg", a), -1);
	if (turn == SWAPPED)
		return join(m, OP(m, "Neg", a), b, -1);
	if (turn == UNSIGNED)
		return join(m, b, a, -1);
	return join(m, OP(m, "Neg", b), a, -1);
}

/* The angles' cosines or sines for all heads. */
static inline struct qeff_value *table(struct maker *m, const char *function, struct qeff_value *of,
				       int64_t width, enum turn turn)
{
	struct qeff_value *made;
	float *data;

	if (of)
		return OP(m, "Unsqueeze", op(m, function, 1, &of, 0, NULL),
			  integers(m, 1, SIZE(1)));
	made = weights(m, 4, SIZE(turn == COLUMNS ? 1 : BATCH, 1, ROWS, width));
	data = (float *)(uintptr_t)made->data;
	for (int64_t i = 0; i < made->shape.dims[0].size * ROWS * width; i++)
		if (i >= ROWS * width)
			data[i] = data[i - ROWS * width];
		else if (i % width >= width / 2)
			data[i] = data[i - width / 2];
	return made;
}

static inline struct qeff_value *rotated(struct maker *m, struct qeff_value *x,
					 struct qeff_value *of, enum turn turn)
{
	int64_t width = turn == PART ? DIM / 2 : DIM;
	struct qeff_value *part = turn == PART ? slice(m, x, 0, width, 3, 1) : x;
	struct qeff_value *y, *z;

	y = OP(m, "Mul", part, table(m, "Cos", of, width, turn));
	z = OP(m, "Mul", turned(m, part, width, turn), table(m, "Sin", of, width, turn));
	y = turn == DIFFERENCE ? OP(m, "Sub", y, z) : OP(m, "Add", y, z);
	return turn == PART ? join(m, y, slice(m, x, width, DIM, 3, 1), -1) : y;
}

static inline struct qeff_graph *rotation(enum turn turn)
{
	struct maker m = { .graph = qeff_graph_new("rotation"), .seed = 3 };
	struct qeff_value *tokens = ids(&m, "input_ids", BATCH, ROWS), *positions, *x, *of = NULL;

	if (turn == COLUMNS) {
		positions = ids(&m, "attention_mask", BATCH, ROWS);
		positions = qeff_graph_node(m.graph, "qeff.MaskToColumns", "position_ids", 1,
					    &positions, 0, NULL);
	} else {
		positions = ids(&m, "position_ids", BATCH, ROWS);
	}
	if (turn != COLUMNS && turn != ROWS_NOT_IDS)
		of = angles(&m, positions, turn == PART ? DIM / 2 : DIM, turn);
	x = OP(&m, "Gather", weights(&m, 2, SIZE(VOCAB, WIDTH)), tokens);
	if (!of) /* else nothing reads them before */
		x = OP(&m, "Add", x,
		       OP(&m, "Gather", weights(&m, 2, SIZE(POSITIONS, WIDTH)), positions));
	give(&m, rows_of(&m, rotated(&m, heads(&m, x, HEADS), of, turn), WIDTH), "y");
	return m.graph;
}

/* ---- caches ---- */

static inline struct qeff_value *past(struct maker *m, const char *what, enum cache form)
{
	const struct qeff_dim dims[] = { qeff_dim_of(BATCH), qeff_dim_of(HEADS),
					 qeff_dim_of(form == WRONG_AXIS ? ROWS : PAST),
					 qeff_dim_of(DIM) };
	char name[64];

	snprintf(name, sizeof(name), "%s.0.%s",
		 form == OTHER_NAME ? "past_states" : "past_key_values", what);
	return qeff_graph_input(m->graph, name, QEFF_GRAPH_F32, 4, dims);
}

/* Earlier keys or values, and @own behind them; they go out. */
static inline struct qeff_value *cached(struct maker *m, const char *what, struct qeff_value *own,
					enum cache form)
{
	struct qeff_value *earlier = past(m, what, form), *all;
	bool key = !strcmp(what, "key");
	char name[64];

	if (key && form == PAST_READ)
		give(m, OP(m, "Neg", earlier), "earlier");
	if (key && form == SCALED_PAST)
		earlier = OP(m, "Mul", earlier, number(m, 0.5f));
	if (key && form == SCALED_OWN)
		own = OP(m, "Mul", own, number(m, 0.5f));
	if (form == PRESENT_FIRST)
		all = join(m, own, earlier, 2);
	else
		all = join(m, earlier, own, form == WRONG_AXIS ? 1 : 2);
	snprintf(name, sizeof(name), "present.0.%s",
		 form != CROSSED ? what
		 : key		 ? "value"
				 : "key");
	if (form != NOT_HANDED_OUT)
		give(m, all, name);
	if (key && form == PRESENT_READ)
		give(m, OP(m, "Neg", all), "again");
	if (key && form == SCALED_ALL)
		return OP(m, "Mul", all, number(m, 0.5f));
	return key && form == SCALED_WIDTH ? OP(m, "Mul", all, weights(m, 1, SIZE(DIM))) : all;
}

/* [1, 1, ROWS, keys]: 1 where a key lies behind its row (or, with a window, too far before it) */
static inline struct qeff_value *behind(struct maker *m, int64_t keys, int64_t window)
{
	struct qeff_value *made = weights(m, 4, SIZE(1, 1, ROWS, keys));
	float *data = (float *)(uintptr_t)made->data;

	for (int64_t i = 0; i < ROWS * keys; i++) {
		int64_t before = i / keys + keys - ROWS - i % keys;

		data[i] = before < 0 || (window && before >= window);
	}
	return made;
}

/* What is added to scores. */
static inline struct qeff_value *mask_of(struct maker *m, struct qeff_value *mask, enum cache form)
{
	struct qeff_value *hidden;
	int64_t keys = KEYS;

	if (form == WRONG_AXIS) {
		mask = slice(m, mask, PAST, KEYS, 1, 1);
		keys = ROWS;
	}
	hidden = cast(m, OP(m, "Unsqueeze", mask, integers(m, 2, SIZE(1, 2))), QEFF_GRAPH_F32);
	hidden = OP(m, "Sub", number(m, 1), hidden);
	hidden = OP(m, "Max", hidden, behind(m, keys, form == WINDOW ? 6 : 0));
	if (form == LEAKING)
		hidden = OP(m, "Add", hidden, number(m, 0.25f));
	return OP(m, "Mul", hidden, number(m, -3.4e38f));
}

static inline struct qeff_value *attention(struct maker *m, struct qeff_value *x,
					   struct qeff_value *mask, struct qeff_value *positions,
					   enum cache form)
{
	const struct qeff_attribute last = QEFF_INT("axis", -1);
	int64_t count = form == WRONG_AXIS ? 2 * HEADS : HEADS;
	struct qeff_value *q = heads(m, linear(m, x, WIDTH, count * DIM), count);
	struct qeff_value *k = heads(m, linear(m, x, WIDTH, WIDTH), HEADS);
	struct qeff_value *v = heads(m, linear(m, x, WIDTH, WIDTH), HEADS);
	struct qeff_value *scores, *of;

	if (form == ROTATED) {
		of = angles(m, positions, DIM, HALVES);
		q = rotated(m, q, of, HALVES);
		k = rotated(m, k, of, HALVES);
	}
	k = transpose(m, cached(m, "key", k, form), SIZE(0, 1, 3, 2));
	v = cached(m, "value", v, form);
	scores = OP(m, "Mul", OP(m, "MatMul", q, k), number(m, 0.35f));
	scores = OP(m, "Add", scores, mask_of(m, mask, form));
	v = OP(m, "MatMul", op(m, "Softmax", 1, &scores, 1, &last), v);
	return linear(m, rows_of(m, v, count * DIM), count * DIM, WIDTH);
}

/* A layer of a decoder with its head. */
static inline struct qeff_graph *decoder(enum cache form)
{
	struct maker m = { .graph = qeff_graph_new("decoder"), .seed = 5 };
	struct qeff_value *tokens = ids(&m, "input_ids", BATCH, ROWS);
	struct qeff_value *mask = ids(&m, "attention_mask", BATCH, KEYS);
	struct qeff_value *positions =
		ids(&m, "position_ids", form == SHARED_POSITIONS ? 1 : BATCH, ROWS);
	struct qeff_value *x = OP(&m, "Gather", weights(&m, 2, SIZE(VOCAB, WIDTH)), tokens);

	if (form != ROTATED)
		x = OP(&m, "Add", x,
		       OP(&m, "Gather", weights(&m, 2, SIZE(POSITIONS, WIDTH)), positions));
	x = OP(&m, "Add", x, attention(&m, x, mask, positions, form));
	give(&m, OP(&m, "MatMul", x, weights(&m, 2, SIZE(WIDTH, VOCAB))), "logits");
	if (form == MASK_READ)
		give(&m, cast(&m, mask, QEFF_GRAPH_F32), "mask");
	return m.graph;
}

#endif
