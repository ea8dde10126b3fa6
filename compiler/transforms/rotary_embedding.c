/* SPDX-License-Identifier: MIT */
/*
 * RotaryEmbedding: x cos + turned(x) sin, as exporters write it, becomes qeff.RotaryEmbedding with
 * tables. How x is turned, and what cosines and sines a position has, is tried: the numbers tell
 * whether halves or neighbours make pairs, and whether a row's angles are those of its position
 * alone.
 */
#include "transforms/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/**
 * struct tables - angles as found, for nodes that share them
 * @source: of cosines, sines: what was tried
 * @width: of their rows
 * @at: cosines, sines: [positions, width / 2]; NULL if they are of no use
 */
struct tables {
	const struct qeff_value *source[2];
	int64_t width;
	bool interleaved;
	struct qeff_value *at[2];
};

struct rotation {
	struct qeff_graph *graph;
	const struct qeff_transform_options *options;
	struct qeff_error *err;
	struct qeff_value *position_ids;
	bool by_column; /* they are columns; else an input */
	int64_t batch, seq, positions;
	struct tables known;
	uint32_t made;
};

/* A rotation that was found. */
struct turn {
	struct qeff_value *x, *cosines, *turned, *sines;
	bool interleaved;
};

static bool is_angles(const struct rotation *r, const struct qeff_value *value, int64_t width)
{
	const struct qeff_dim *d = value->shape.dims;

	return value->shape.rank == 4 && value->type == QEFF_GRAPH_F32 &&
	       (d[0].size == r->batch || d[0].size == 1) && d[1].size == 1 && d[2].size == r->seq &&
	       d[3].size == width;
}

static bool same_shape(const struct qeff_graph_shape *a, const struct qeff_graph_shape *b)
{
	for (uint32_t i = 0; i < a->rank; i++)
		if (a->rank != b->rank || !qeff_dim_equal(&a->dims[i], &b->dims[i]))
			return false;
	return a->rank == b->rank;
}

/* Behind views that keep the order of numbers. */
static struct qeff_value *plain(struct qeff_value *value)
{
	while (qeff_node_is(value->producer, "Unsqueeze") ||
	       qeff_node_is(value->producer, "Reshape"))
		value = value->producer->inputs[0];
	return value;
}

/* The pair that number @column of a head is turned with. */
static int64_t partner(bool interleaved, int64_t column, int64_t width)
{
	int64_t half = width / 2;

	if (interleaved)
		return column ^ 1;
	return column < half ? column + half : column - half;
}

/* Whether @to is what turning makes of @from: of a pair (a, b), (-b, a). */
static bool is_turned(const float *from, const float *to, uint64_t rows, int64_t width,
		      bool interleaved)
{
	for (uint64_t row = 0; row < rows; row++, from += width, to += width)
		for (int64_t c = 0; c < width; c++) {
			int64_t pair = partner(interleaved, c, width);

			if (to[c] != (pair > c ? -from[pair] : from[pair]))
				return false;
		}
	return true;
}

/* Both signs of numbers: what only looks at magnitudes is no turn. */
static int try_pairs(struct rotation *r, struct qeff_trial *trial, float *numbers,
		     uint64_t elements, const struct turn *t, bool *found)
{
	int64_t width = t->x->shape.dims[3].size;
	int rc = 0;

	*found = true;
	for (int sign = 1; !rc && *found && sign >= -1; sign -= 2) {
		const struct qeff_value *result;

		for (uint64_t i = 0; i < elements; i++)
			numbers[i] = (float)sign * (float)(i + 1);
		rc = qeff_trial_run(trial, numbers, &result, r->err);
		*found = !rc && result &&
			 is_turned(numbers, result->data, elements / (uint64_t)width, width,
				   t->interleaved);
	}
	return rc;
}

/* Which numbers of x come where in t->turned. */
static int try_turn(struct rotation *r, struct turn *t, bool *found)
{
	struct qeff_trial *trial;
	uint64_t elements;
	float *numbers;
	int rc;

	*found = false;
	if (!qeff_graph_shape_elements(&t->x->shape, &elements) || elements >= 1u << 24)
		return 0;
	rc = qeff_trial_open(r->graph, t->x, t->turned, r->options, &trial, r->err);
	if (rc || !trial)
		return rc;
	numbers = calloc(elements + 1, sizeof(*numbers));
	if (!numbers)
		rc = qeff_error_set(r->err, -ENOMEM, "out of memory while trying a rotation");
	for (int pairs = 0; !rc && !*found && pairs < 2; pairs++) {
		t->interleaved = pairs;
		rc = try_pairs(r, trial, numbers, elements, t, found);
	}
	free(numbers);
	qeff_trial_close(trial);
	return rc;
}

/* A part of each head, which lowering has no way to turn. */
static bool is_part(const struct qeff_value *x)
{
	return qeff_node_is(x->producer, "Slice") || qeff_node_is(x->producer, "Split");
}

/* One of the two sums of products. */
static bool match(const struct rotation *r, const struct qeff_node *node, int first, int a, int b,
		  struct turn *t)
{
	const struct qeff_node *straight = node->inputs[first]->producer;
	const struct qeff_node *across = node->inputs[!first]->producer;

	t->x = straight->inputs[a];
	t->cosines = straight->inputs[!a];
	t->turned = across->inputs[b];
	t->sines = across->inputs[!b];
	return t->x->shape.rank == 4 && t->x->type == QEFF_GRAPH_F32 && !t->x->is_initialiser &&
	       !is_part(t->x) && t->turned->producer && t->turned != t->x &&
	       t->x->shape.dims[0].size == r->batch && t->x->shape.dims[2].size == r->seq &&
	       t->x->shape.dims[3].size > 0 && t->x->shape.dims[3].size % 2 == 0 &&
	       same_shape(&t->x->shape, &t->turned->shape) &&
	       is_angles(r, t->cosines, t->x->shape.dims[3].size) &&
	       is_angles(r, t->sines, t->x->shape.dims[3].size);
}

static int find_turn(struct rotation *r, const struct qeff_node *node, struct turn *t, bool *found)
{
	int rc = 0;

	*found = false;
	if (!qeff_node_is(node, "Add") || !qeff_node_is(node->inputs[0]->producer, "Mul") ||
	    !qeff_node_is(node->inputs[1]->producer, "Mul"))
		return 0;
	for (int i = 0; !rc && !*found && i < 8; i++)
		if (match(r, node, i & 1, i >> 1 & 1, i >> 2, t))
			rc = try_turn(r, t, found);
	return rc;
}

/* Halves of a row of angles, which must be twice the same, into a table. */
static bool take_row(const float *row, int64_t width, bool interleaved, float *table)
{
	for (int64_t c = 0; c < width; c++) {
		int64_t pair = partner(interleaved, c, width);

		if (pair > c)
			table[interleaved ? c / 2 : c] = row[c];
		if (row[c] != row[pair])
			return false;
	}
	return true;
}

/* The position that a row has in a trial: each once, then mixed up, to see whether a row's angles
 * hang on others' positions. */
static int64_t position_at(const struct rotation *r, int64_t run, int64_t row, int64_t runs)
{
	int64_t rows = r->batch * r->seq;

	if (run < runs)
		return (run * rows + row) % r->positions;
	return (row * 7919 + (run - runs) * 104729 + (row & 1) * (r->positions - 1)) % r->positions;
}

/* Fills @table by trials; *@found is false if there is no such table. */
static int try_positions(struct rotation *r, struct qeff_value *source, int64_t width,
			 bool interleaved, float *table, bool *found)
{
	int64_t rows = r->batch * r->seq, runs = (r->positions + rows - 1) / rows;
	float row_table[512];
	struct qeff_trial *trial;
	int64_t *ids;
	int rc = qeff_trial_open(r->graph, r->position_ids, source, r->options, &trial, r->err);

	*found = false;
	if (rc || !trial)
		return rc;
	ids = calloc((size_t)rows, sizeof(*ids));
	*found = ids && width / 2 <= 512;
	for (int64_t run = 0; !rc && *found && run < runs + 4; run++) {
		const struct qeff_value *result;
		uint64_t elements;

		for (int64_t row = 0; row < rows; row++)
			ids[row] = position_at(r, run, row, runs);
		rc = qeff_trial_run(trial, ids, &result, r->err);
		*found = !rc && result && result->type == QEFF_GRAPH_F32 &&
			 qeff_graph_shape_elements(&result->shape, &elements) &&
			 elements == (uint64_t)(rows * width);
		for (int64_t row = 0; *found && row < rows; row++) {
			float *at = table + ids[row] * (width / 2);
			const float *numbers = (const float *)result->data + row * width;

			if (run < runs)
				*found = take_row(numbers, width, interleaved, at);
			else
				*found = take_row(numbers, width, interleaved, row_table) &&
					 !memcmp(row_table, at, (size_t)(width / 2) * sizeof(*at));
		}
	}
	free(ids);
	qeff_trial_close(trial);
	return rc;
}

/* The same from a constant: a row for each column, and the same for every batch entry. */
static bool take_columns(const struct rotation *r, const struct qeff_value *angles, int64_t width,
			 bool interleaved, float *table)
{
	const float *numbers = angles->data;

	if (!angles->is_initialiser || angles->stored_type != QEFF_GRAPH_F32)
		return false;
	for (int64_t b = 1; b < angles->shape.dims[0].size; b++)
		if (memcmp(numbers, numbers + b * r->seq * width,
			   (size_t)(r->seq * width) * sizeof(*numbers)))
			return false;
	for (int64_t s = 0; s < r->seq; s++)
		if (!take_row(numbers + s * width, width, interleaved, table + s * (width / 2)))
			return false;
	return true;
}

static int make_table(struct rotation *r, struct qeff_value *angles, int64_t width,
		      bool interleaved, const char *what, struct qeff_value **made)
{
	const int64_t dims[] = { r->positions, width / 2 };
	bool found = false;
	void *data;
	char name[64];
	float *table = calloc((size_t)(dims[0] * dims[1]), sizeof(*table));
	int rc = 0;

	*made = NULL;
	if (!table)
		return qeff_error_set(r->err, -ENOMEM, "out of memory while making rotary tables");
	if (r->by_column)
		found = take_columns(r, angles, width, interleaved, table);
	else
		rc = try_positions(r, plain(angles), width, interleaved, table, &found);
	if (found) {
		snprintf(name, sizeof(name), "rotary.%s/%u", what, r->made);
		*made = qeff_graph_constant(r->graph, name, QEFF_GRAPH_F32, 2, dims, &data);
		if (*made)
			memcpy(data, table, (size_t)(dims[0] * dims[1]) * sizeof(*table));
	}
	free(table);
	return rc;
}

static int look_up(struct rotation *r, const struct turn *t)
{
	struct tables *k = &r->known;
	int64_t width = t->x->shape.dims[3].size;
	int rc;

	if (k->source[0] == plain(t->cosines) && k->source[1] == plain(t->sines) &&
	    k->width == width && k->interleaved == t->interleaved)
		return 0;
	*k = (struct tables){
		{ plain(t->cosines), plain(t->sines) }, width, t->interleaved, { NULL }
	};
	rc = make_table(r, t->cosines, width, t->interleaved, "cos", &k->at[0]);
	if (!rc && k->at[0])
		rc = make_table(r, t->sines, width, t->interleaved, "sin", &k->at[1]);
	r->made++;
	return rc;
}

/* Where positions come from, and how many there are; false if rows have none. */
static bool find_positions(struct rotation *r)
{
	struct qeff_value *ids = qeff_graph_find(r->graph, "position_ids");

	if (!ids || ids->shape.rank != 2 || ids->shape.dims[0].symbol || ids->shape.dims[1].symbol)
		return false;
	r->position_ids = ids;
	r->by_column = qeff_node_is(ids->producer, "qeff.MaskToColumns");
	r->batch = ids->shape.dims[0].size;
	r->seq = ids->shape.dims[1].size;
	r->positions = r->by_column ? r->seq : r->options->positions;
	return r->positions > 0 && r->positions < 1 << 24 && (r->by_column || ids->is_input);
}

int qeff_transform_rotary_embedding(struct qeff_graph *graph,
				    const struct qeff_transform_options *options, uint32_t *changes,
				    struct qeff_error *err)
{
	struct rotation r = { .graph = graph, .options = options, .err = err };
	uint32_t nodes = graph->num_nodes, count = 0;
	bool rows = find_positions(&r);
	int rc = 0;

	for (uint32_t i = 0; rows && !rc && i < nodes; i++) {
		struct turn t = { 0 };
		bool found;

		rc = find_turn(&r, graph->nodes[i], &t, &found);
		if (!rc && found)
			rc = look_up(&r, &t);
		if (rc || !found || !r.known.at[0] || !r.known.at[1])
			continue;
		qeff_graph_morph(graph, graph->nodes[i], "qeff.RotaryEmbedding", 4,
				 (struct qeff_value *[]){ t.x, r.position_ids, r.known.at[0],
							  r.known.at[1] },
				 2,
				 (struct qeff_attribute[]){
					 QEFF_INT("interleaved", t.interleaved),
					 QEFF_INT("rotary_dim", t.x->shape.dims[3].size) });
		count++;
	}
	if (changes)
		*changes = count;
	return rc ? rc : qeff_graph_finish(graph, err);
}
