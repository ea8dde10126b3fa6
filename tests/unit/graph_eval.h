/* SPDX-License-Identifier: MIT */
/*
 * A plain evaluator of bound graphs, for tests: operator by operator as docs/design/graph.md
 * defines them, in double where it matters, with nothing shared with lowering or export. Slow, and
 * small enough to be read.
 */
#ifndef QEFF_TESTS_GRAPH_EVAL_H
#define QEFF_TESTS_GRAPH_EVAL_H

#include "graph/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of the two, by type. */
struct eval_value {
	float *f;
	int64_t *i;
};

struct eval {
	const struct qeff_graph *graph;
	struct eval_value *values; /* by index */
};

static inline int64_t eval_dim(const struct qeff_value *value, uint32_t axis)
{
	return value->shape.dims[axis].size;
}

static inline uint64_t eval_count(const struct qeff_value *value)
{
	uint64_t count = 0;

	return qeff_graph_shape_elements(&value->shape, &count) ? count : 0;
}

static inline bool eval_is_int(const struct qeff_value *value)
{
	return value->type == QEFF_GRAPH_I64;
}

static inline float *eval_f(const struct eval *e, const struct qeff_value *value)
{
	return e->values[value->index].f;
}

static inline int64_t *eval_i(const struct eval *e, const struct qeff_value *value)
{
	return e->values[value->index].i;
}

/* The element of an input that has dimensions of 1, or none, where @out counts: numpy's rule. */
static inline uint64_t eval_broadcast(const struct qeff_value *in, const struct qeff_value *out,
				      uint64_t at)
{
	uint64_t index = 0, stride = 1;

	for (uint32_t i = 0; i < out->shape.rank; i++) {
		int64_t size = eval_dim(out, out->shape.rank - 1 - i);
		int64_t own = i < in->shape.rank ? eval_dim(in, in->shape.rank - 1 - i) : 1;

		if (own > 1) {
			index += at % (uint64_t)size * stride;
			stride *= (uint64_t)own;
		}
		at /= (uint64_t)size;
	}
	return index;
}

static inline void eval_elementwise(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *out = node->outputs[0], *a = node->inputs[0];
	const struct qeff_value *b = qeff_node_input(node, 1);
	bool tanh_form = !strcmp(qeff_node_string(node, "approximate", "none"), "tanh");

	for (uint64_t i = 0; i < eval_count(out); i++) {
		double x = eval_f(e, a)[eval_broadcast(a, out, i)];
		double y = b ? eval_f(e, b)[eval_broadcast(b, out, i)] : 0, z = NAN;

		if (qeff_node_is(node, "Add"))
			z = x + y;
		else if (qeff_node_is(node, "Sub"))
			z = x - y;
		else if (qeff_node_is(node, "Mul"))
			z = x * y;
		else if (qeff_node_is(node, "Div"))
			z = x / y;
		else if (qeff_node_is(node, "Pow"))
			z = pow(x, y);
		else if (qeff_node_is(node, "Sqrt"))
			z = sqrt(x);
		else if (qeff_node_is(node, "Relu"))
			z = x > 0 ? x : 0;
		else if (qeff_node_is(node, "Sigmoid"))
			z = 1 / (1 + exp(-x));
		else if (qeff_node_is(node, "Tanh"))
			z = tanh(x);
		else if (qeff_node_is(node, "Erf"))
			z = erf(x);
		else if (qeff_node_is(node, "Gelu") && tanh_form)
			z = x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
		else if (qeff_node_is(node, "Gelu"))
			z = x / 2 * (1 + erf(x / sqrt(2)));
		eval_f(e, out)[i] = (float)z;
	}
}

static inline void eval_matmul(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *b = node->inputs[1], *out = node->outputs[0];
	int64_t inner = eval_dim(b, 0), columns = eval_dim(b, 1);
	const float *x = eval_f(e, node->inputs[0]), *w = eval_f(e, b);
	float *y = eval_f(e, out);
	double *row = calloc((size_t)columns, sizeof(*row));

	for (uint64_t r = 0; r < eval_count(out) / (uint64_t)columns;
	     r++, x += inner, y += columns) {
		memset(row, 0, (size_t)columns * sizeof(*row));
		for (int64_t k = 0; k < inner; k++)
			for (int64_t n = 0; n < columns; n++)
				row[n] += (double)x[k] * w[k * columns + n];
		for (int64_t n = 0; n < columns; n++)
			y[n] = (float)row[n];
	}
	free(row);
}

/* ReduceMean over the last axis, the norms: a row at a time. */
static inline void eval_rows(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *in = node->inputs[0];
	int64_t width = eval_dim(in, in->shape.rank - 1);
	const float *x = eval_f(e, in);
	float *y = eval_f(e, node->outputs[0]);

	for (uint64_t r = 0; r < eval_count(in) / (uint64_t)width; r++, x += width) {
		double sum = 0, squares = 0, mean,
		       epsilon = qeff_node_float(node, "epsilon", 1e-5f);
		double shift = 0, scale = 1;

		for (int64_t i = 0; i < width; i++)
			sum += x[i];
		mean = sum / (double)width;
		if (qeff_node_is(node, "ReduceMean")) {
			y[r] = (float)mean;
			continue;
		}
		if (qeff_node_is(node, "LayerNormalization"))
			shift = mean;
		for (int64_t i = 0; i < width; i++)
			squares += (x[i] - shift) * (x[i] - shift);
		if (qeff_node_is(node, "qeff.L2Normalize"))
			scale = 1 / fmax(sqrt(squares), epsilon);
		else
			scale = 1 / sqrt(squares / (double)width + epsilon);
		for (int64_t i = 0; i < width; i++) {
			double z = (x[i] - shift) * scale;

			if (node->num_inputs > 1)
				z *= eval_f(e, node->inputs[1])[i];
			if (node->num_inputs > 2)
				z += eval_f(e, node->inputs[2])[i];
			y[r * (uint64_t)width + (uint64_t)i] = (float)z;
		}
	}
}

static inline void eval_gather(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *table = node->inputs[0], *indices = node->inputs[1];
	int64_t entries = eval_dim(table, 0), width = eval_dim(table, 1);
	float *y = eval_f(e, node->outputs[0]);

	if (qeff_node_int(node, "axis", 0) == 1) { /* one column of rows [batch, seq, width] */
		for (int64_t b = 0; b < entries; b++)
			memcpy(y + b * eval_dim(table, 2),
			       eval_f(e, table) +
				       (b * width + eval_i(e, indices)[0]) * eval_dim(table, 2),
			       (size_t)eval_dim(table, 2) * sizeof(*y));
		return;
	}
	for (uint64_t i = 0; i < eval_count(indices); i++, y += width) {
		int64_t index = eval_i(e, indices)[i];

		index += index < 0 ? entries : 0;
		if (index >= 0 && index < entries)
			memcpy(y, eval_f(e, table) + index * width, (size_t)width * sizeof(*y));
	}
}

static inline void eval_transpose(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *in = node->inputs[0], *out = node->outputs[0];
	const int64_t *perm = qeff_node_attribute(node, "perm")->ints;
	uint64_t strides[QEFF_GRAPH_MAX_RANK], stride = 1;

	for (uint32_t i = in->shape.rank; i-- > 0; stride *= (uint64_t)eval_dim(in, i))
		strides[i] = stride;
	for (uint64_t at = 0; at < eval_count(out); at++) {
		uint64_t rest = at, from = 0;

		for (uint32_t i = out->shape.rank; i-- > 0; rest /= (uint64_t)eval_dim(out, i))
			from += rest % (uint64_t)eval_dim(out, i) * strides[perm[i]];
		eval_f(e, out)[at] = eval_f(e, in)[from];
	}
}

static inline void eval_positions(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *mask = node->inputs[0];
	int64_t columns = eval_dim(mask, 1);

	for (int64_t b = 0; b < eval_dim(mask, 0); b++) {
		int64_t seen = 0;

		for (int64_t s = 0; s < columns; s++)
			eval_i(e, node->outputs[0])[b * columns + s] =
				eval_i(e, mask)[b * columns + s] ? seen++ : -1;
	}
}

static inline void eval_rotary(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *x = node->inputs[0];
	int64_t heads = eval_dim(x, 1), columns = eval_dim(x, 2), dim = eval_dim(x, 3);
	int64_t half = qeff_node_int(node, "rotary_dim", 0) / 2;
	bool interleaved = qeff_node_int(node, "interleaved", 0);

	for (uint64_t row = 0; row < eval_count(x) / (uint64_t)dim; row++) {
		int64_t batch = (int64_t)row / columns / heads, column = (int64_t)row % columns;
		int64_t position = eval_i(e, node->inputs[1])[batch * columns + column];
		const float *from = eval_f(e, x) + row * (uint64_t)dim;
		float *to = eval_f(e, node->outputs[0]) + row * (uint64_t)dim;

		position = position < 0 ? 0 : position;
		memcpy(to, from, (size_t)dim * sizeof(*to));
		for (int64_t i = 0; i < half; i++) {
			double c = eval_f(e, node->inputs[2])[position * half + i];
			double s = eval_f(e, node->inputs[3])[position * half + i];
			int64_t a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + half;

			to[a] = (float)(from[a] * c - from[b] * s);
			to[b] = (float)(from[b] * c + from[a] * s);
		}
	}
}

/* One query row over all keys that it sees. */
static inline void eval_attend(struct eval *e, const struct qeff_node *node, int64_t batch,
			       int64_t head, int64_t row, double *scores)
{
	const struct qeff_value *q = node->inputs[0], *k = node->inputs[1], *v = node->inputs[2];
	const struct qeff_value *key_ids = qeff_node_input(node, 4);
	int64_t heads = eval_dim(q, 1), rows = eval_dim(q, 2), dim = eval_dim(q, 3);
	int64_t groups = eval_dim(k, 1), keys = eval_dim(k, 2), width = eval_dim(v, 3);
	int64_t at = batch * groups + head / (heads / groups);
	int64_t position = eval_i(e, node->inputs[3])[batch * rows + row];
	const float *query = eval_f(e, q) + ((batch * heads + head) * rows + row) * dim;
	float *out = eval_f(e, node->outputs[0]) + ((batch * heads + head) * rows + row) * width;
	double largest = -INFINITY, sum = 0;

	for (int64_t t = 0; t < keys; t++) {
		int64_t key_position = key_ids ? eval_i(e, key_ids)[batch * keys + t] : t;
		const float *key = eval_f(e, k) + (at * keys + t) * dim;
		double dot = 0;

		for (int64_t d = 0; d < dim; d++)
			dot += (double)query[d] * key[d];
		scores[t] = dot * qeff_node_float(node, "scale", 1);
		if (key_position < 0 ||
		    (qeff_node_int(node, "causal", 0) && key_position > position))
			scores[t] = -INFINITY;
		largest = fmax(largest, scores[t]);
	}
	for (int64_t t = 0; t < keys; t++)
		sum += scores[t] = position < 0 ? 0 : exp(scores[t] - largest);
	for (int64_t d = 0; d < width; d++) {
		double value = 0;

		for (int64_t t = 0; t < keys; t++)
			if (scores[t] > 0)
				value += scores[t] * eval_f(e, v)[(at * keys + t) * width + d];
		out[d] = position < 0 ? 0 : (float)(value / sum);
	}
}

static inline void eval_attention(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *q = node->inputs[0];
	double *scores = calloc((size_t)eval_dim(node->inputs[1], 2), sizeof(*scores));

	for (int64_t b = 0; b < eval_dim(q, 0); b++)
		for (int64_t h = 0; h < eval_dim(q, 1); h++)
			for (int64_t s = 0; s < eval_dim(q, 2); s++)
				eval_attend(e, node, b, h, s, scores);
	free(scores);
}

static inline void eval_scatter(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *cache = node->inputs[0], *rows = node->inputs[2];
	const struct qeff_value *slots = qeff_node_input(node, 3);
	int64_t heads = eval_dim(rows, 1), columns = eval_dim(rows, 2), dim = eval_dim(rows, 3);
	float *to = eval_f(e, node->outputs[0]);

	memcpy(to, eval_f(e, cache), eval_count(cache) * sizeof(*to));
	for (int64_t b = 0; b < eval_dim(rows, 0); b++) {
		for (int64_t s = 0; s < columns; s++) {
			int64_t position = eval_i(e, node->inputs[1])[b * columns + s];
			int64_t slot = slots ? eval_i(e, slots)[b] : b;

			for (int64_t h = 0; h < heads && position >= 0; h++)
				memcpy(to + ((slot * heads + h) * eval_dim(cache, 2) + position) *
						       dim,
				       eval_f(e, rows) + ((b * heads + h) * columns + s) * dim,
				       (size_t)dim * sizeof(*to));
		}
	}
}

/* The slots of this batch, and of each head as many positions as the output has. */
static inline void eval_cache_gather(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *cache = node->inputs[0], *out = node->outputs[0];
	const struct qeff_value *slots = qeff_node_input(node, 1);
	int64_t heads = eval_dim(out, 1), row = eval_dim(out, 2) * eval_dim(out, 3);

	for (int64_t b = 0; b < eval_dim(out, 0); b++)
		for (int64_t h = 0; h < heads; h++)
			memcpy(eval_f(e, out) + (b * heads + h) * row,
			       eval_f(e, cache) + ((slots ? eval_i(e, slots)[b] : b) * heads + h) *
							  eval_dim(cache, 2) * eval_dim(cache, 3),
			       (size_t)row * sizeof(float));
}

/* A window of columns that ends at the last live row, or begins at column 0 if that is too early.
 */
static inline void eval_last_tokens(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *x = node->inputs[0], *out = node->outputs[0];
	int64_t columns = eval_dim(x, 1), width = eval_dim(x, 2), keep = eval_dim(out, 1);

	for (int64_t b = 0; b < eval_dim(x, 0); b++) {
		const int64_t *ids = eval_i(e, node->inputs[1]) + b * columns;
		int64_t last = 0;

		for (int64_t s = 0; s < columns; s++)
			last = ids[s] > ids[last] ? s : last;
		last = last < keep - 1 ? keep - 1 : last;
		memcpy(eval_f(e, out) + b * keep * width,
		       eval_f(e, x) + (b * columns + last - keep + 1) * width,
		       (size_t)(keep * width) * sizeof(float));
	}
}

/* LastToken and Pool: one row out of the live rows of each batch entry. */
static inline void eval_pool(struct eval *e, const struct qeff_node *node)
{
	const char *mode = qeff_node_string(node, "mode", "last");
	const struct qeff_value *x = node->inputs[0];
	int64_t columns = eval_dim(x, 1), width = eval_dim(x, 2);

	for (int64_t b = 0; b < eval_dim(x, 0); b++) {
		const int64_t *ids = eval_i(e, node->inputs[1]) + b * columns;
		int64_t first = -1, last = -1, live = 0;

		for (int64_t s = 0; s < columns; s++) {
			if (ids[s] < 0)
				continue;
			first = first < 0 || ids[s] < ids[first] ? s : first;
			last = last < 0 || ids[s] > ids[last] ? s : last;
			live++;
		}
		for (int64_t i = 0; i < width && live; i++) {
			const float *column = eval_f(e, x) + b * columns * width + i;
			double mean = 0, largest = -INFINITY;

			for (int64_t s = 0; s < columns; s++) {
				if (ids[s] >= 0) {
					mean += column[s * width] / (double)live;
					largest = fmax(largest, column[s * width]);
				}
			}
			eval_f(e, node->outputs[0])[b * width + i] =
				!strcmp(mode, "mean")  ? (float)mean
				: !strcmp(mode, "max") ? (float)largest
				: !strcmp(mode, "cls") ? column[first * width]
						       : column[last * width];
		}
	}
}

static inline void eval_reshape(struct eval *e, const struct qeff_node *node)
{
	memcpy(eval_f(e, node->outputs[0]), eval_f(e, node->inputs[0]),
	       eval_count(node->inputs[0]) * sizeof(float));
}

static inline void eval_expand(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *x = node->inputs[0], *y = node->outputs[0];

	for (uint64_t i = 0; i < eval_count(y); i++)
		eval_f(e, y)[i] = eval_f(e, x)[eval_broadcast(x, y, i)];
}

static inline void eval_slice(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *x = node->inputs[0], *y = node->outputs[0];

	for (uint64_t i = 0; i < eval_count(y); i++) {
		uint64_t rest = i, from = 0, stride = 1;

		for (uint32_t d = x->shape.rank; d--;) {
			int64_t at = (int64_t)(rest % (uint64_t)eval_dim(y, d));

			rest /= (uint64_t)eval_dim(y, d);
			for (int64_t k = 0; k < eval_dim(node->inputs[1], 0); k++)
				if (eval_i(e, node->inputs[3])[k] == d)
					at = eval_i(e, node->inputs[1])[k] +
					     at * (qeff_node_input(node, 4)
							   ? eval_i(e, node->inputs[4])[k]
							   : 1);
			from += (uint64_t)at * stride;
			stride *= (uint64_t)eval_dim(x, d);
		}
		eval_f(e, y)[i] = eval_f(e, x)[from];
	}
}

/* Each row's experts, one product after the other; rows share x. */
static inline void eval_experts(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *x = node->inputs[0], *y = node->outputs[0];
	int64_t width = eval_dim(x, x->shape.rank - 1), experts = qeff_node_int(node, "experts", 0);
	int64_t outputs = eval_dim(node->inputs[2], 0) / experts;
	int64_t chosen = eval_dim(y, y->shape.rank - 1) / outputs;

	if (!qeff_node_int(node, "shared", 0) || qeff_node_input(node, 3))
		abort();
	for (int64_t i = 0; i < (int64_t)eval_count(y); i++) {
		int64_t row = i / (chosen * outputs), j = i / outputs % chosen, o = i % outputs;
		int64_t expert = (int64_t)eval_f(e, node->inputs[1])[row * 2 * chosen + j];
		const float *w = eval_f(e, node->inputs[2]) + (expert * outputs + o) * width;
		double sum = 0;

		for (int64_t k = 0; k < width; k++)
			sum += (double)eval_f(e, x)[row * width + k] * w[k];
		eval_f(e, y)[i] = (float)sum;
	}
}

static inline void eval_sequence_gather(struct eval *e, const struct qeff_node *node)
{
	const struct qeff_value *y = node->outputs[0];
	int64_t seq = eval_dim(y, 1), width = eval_dim(y, 2);

	for (int64_t i = 0; i < (int64_t)eval_count(y); i++)
		eval_f(e, y)[i] = eval_f(
			e, node->inputs[0])[eval_i(e, node->inputs[1])[i / (seq * width)] * width +
					    i % width];
}

static const struct {
	const char *op;
	void (*run)(struct eval *e, const struct qeff_node *node);
} eval_ops[] = {
	{ "MatMul", eval_matmul },
	{ "ReduceMean", eval_rows },
	{ "LayerNormalization", eval_rows },
	{ "qeff.RMSNorm", eval_rows },
	{ "qeff.L2Normalize", eval_rows },
	{ "Gather", eval_gather },
	{ "Transpose", eval_transpose },
	{ "Reshape", eval_reshape },
	{ "Expand", eval_expand },
	{ "Slice", eval_slice },
	{ "qeff.MaskToPositions", eval_positions },
	{ "qeff.RotaryEmbedding", eval_rotary },
	{ "qeff.Attention", eval_attention },
	{ "qeff.CtxScatter", eval_scatter },
	{ "qeff.CtxGather", eval_cache_gather },
	{ "qeff.LastToken", eval_pool },
	{ "qeff.LastTokens", eval_last_tokens },
	{ "qeff.Pool", eval_pool },
	{ "qeff.Experts", eval_experts },
	{ "qeff.SequenceGather", eval_sequence_gather },
};

static inline void eval_load(struct eval *e, const struct qeff_value *value)
{
	for (uint64_t i = 0; i < eval_count(value); i++) {
		if (eval_is_int(value)) {
			eval_i(e, value)[i] = ((const int64_t *)value->data)[i];
		} else if (value->stored_type == QEFF_GRAPH_F32) {
			eval_f(e, value)[i] = ((const float *)value->data)[i];
		} else if (value->stored_type == QEFF_GRAPH_F16) {
			eval_f(e, value)[i] = (float)((const _Float16 *)value->data)[i];
		} else {
			uint32_t bits = (uint32_t)((const uint16_t *)value->data)[i] << 16;

			memcpy(&eval_f(e, value)[i], &bits, sizeof(bits));
		}
	}
}

/* Memory for every value, zeroed; initialisers are loaded. The caller fills inputs through eval_f()
 * and eval_i(). */
static inline struct eval eval_new(const struct qeff_graph *bound)
{
	struct eval e = { bound, calloc(bound->num_values, sizeof(struct eval_value)) };

	for (uint32_t i = 0; i < bound->num_values; i++) {
		const struct qeff_value *value = bound->values[i];

		if (eval_is_int(value))
			e.values[i].i = calloc(eval_count(value), sizeof(int64_t));
		else
			e.values[i].f = calloc(eval_count(value), sizeof(float));
		if (value->is_initialiser)
			eval_load(&e, value);
	}
	return e;
}

static inline void eval_run(struct eval *e)
{
	for (uint32_t n = 0; n < e->graph->num_nodes; n++) {
		const struct qeff_node *node = e->graph->nodes[n];
		void (*run)(struct eval *, const struct qeff_node *) = eval_elementwise;

		for (size_t i = 0; i < sizeof(eval_ops) / sizeof(eval_ops[0]); i++)
			if (qeff_node_is(node, eval_ops[i].op))
				run = eval_ops[i].run;
		run(e, node);
	}
}

static inline void eval_free(struct eval *e)
{
	for (uint32_t i = 0; i < e->graph->num_values; i++) {
		free(e->values[i].f);
		free(e->values[i].i);
	}
	free(e->values);
}

/* The largest difference over the largest magnitude of what is expected. */
static inline double eval_error(const float *found, const float *expected, uint64_t count)
{
	double difference = 0, magnitude = 0;

	for (uint64_t i = 0; i < count; i++) {
		if (!isfinite(found[i]))
			return INFINITY;
		difference = fmax(difference, fabs((double)found[i] - expected[i]));
		magnitude = fmax(magnitude, fabs(expected[i]));
	}
	return magnitude > 0 ? difference / magnitude : difference;
}

#endif
