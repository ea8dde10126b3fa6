/* SPDX-License-Identifier: MIT */
/*
 * Decoders that other exporters write out: rotations and caches by hand are recognised and compute
 * the same afterwards, and what only looks like them is left as it is.
 */
#include "unit.h"

#include "foreign_decoder.h"
#include "graph_look.h"
#include "lower/fold.h"
#include "lowered_decoder.h"

static const struct qeff_transform_options options = {
	.foreign = true,
	.kv_cache = true,
	.positions = POSITIONS,
	.fold = qeff_lower_fold,
};

/* ---- running ---- */

static struct qeff_graph *finished(struct qeff_graph *graph)
{
	struct qeff_error err = { 0 };

	if (qeff_graph_finish(graph, &err))
		lowered_die(graph->name, &err);
	return graph;
}

/* The graph goes with it. */
static struct lowered *start(struct qeff_graph *graph)
{
	const struct qeff_binding_size ctx_len = { "ctx_len", KEYS };
	struct lowered *m = calloc(1, sizeof(*m));
	struct qeff_error err = { 0 };

	m->graph = graph;
	m->num_bound = 1;
	m->poison = true;
	if (qeff_graph_bind(graph, &ctx_len, 1, &m->bound[0], &err))
		lowered_die(graph->name, &err);
	lowered_start(m, 3);
	return m;
}

/* One inference with inputs of any kind; the output of that name. Positions stay below ROWS: a
 * graph without a cache has no more. */
static float *run_once(struct qeff_graph *graph, const char *output, size_t count)
{
	struct lowered *m = start(graph);
	float *kept = calloc(count, sizeof(*kept));

	for (uint32_t i = 0; i < m->bound[0]->num_inputs; i++) {
		const struct qeff_value *input = m->bound[0]->inputs[i];
		void *at = lowered_at(m, input->name);
		uint64_t elements = 0;

		qeff_graph_shape_elements(&input->shape, &elements);
		for (uint64_t e = 0; e < elements; e++)
			if (input->type == QEFF_GRAPH_F32)
				((float *)at)[e] = (float)(e * 37 % 101) / 50 - 1;
			else if (!strcmp(input->name, "attention_mask"))
				((int64_t *)at)[e] = e != 1;
			else if (!strcmp(input->name, "position_ids"))
				((int64_t *)at)[e] = (int64_t)(e * 7 + e / ROWS + 2) % ROWS;
			else
				((int64_t *)at)[e] = (int64_t)(e * 7 + 2) % VOCAB;
	}
	CU_ASSERT_EQUAL_FATAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	memcpy(kept, lowered_at(m, output), count * sizeof(*kept));
	lowered_close(m);
	return kept;
}

/* A transform that finds nothing leaves the graph as it was, to the last name. */
static void leaves(struct qeff_graph *graph,
		   int (*transform)(struct qeff_graph *, const struct qeff_transform_options *,
				    uint32_t *, struct qeff_error *))
{
	char *before = qeff_graph_print(finished(graph)), *after;
	struct qeff_error err = { 0 };
	uint32_t changes = 99;

	CU_ASSERT_EQUAL(transform(graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 0);
	after = qeff_graph_print(graph);
	CU_ASSERT_STRING_EQUAL(before, after);
	free(before);
	free(after);
}

/* ---- rotations, tested ---- */

static void same_rotation(enum turn turn, struct qeff_graph *graph)
{
	const size_t count = (size_t)BATCH * ROWS * WIDTH;
	float *expected = run_once(finished(rotation(turn)), "y", count);
	float *got = run_once(graph, "y", count);
	/* the mask has a dead row, which is not computed */
	size_t dead = turn == COLUMNS ? WIDTH : 0;

	CU_ASSERT(difference(got, expected, WIDTH) < 2e-6);
	CU_ASSERT(difference(got + WIDTH + dead, expected + WIDTH + dead, count - WIDTH - dead) <
		  2e-6);
	free(expected);
	free(got);
}

static void recognised_rotation(enum turn turn, bool interleaved)
{
	static const char *const gone[] = { "Mul",	 "Neg",	 "Cos",	  "Sin",
					    "Unsqueeze", "Cast", "Slice", "Concat" };
	struct qeff_graph *graph = finished(rotation(turn));
	struct qeff_error err = { 0 };
	uint32_t changes = 0;

	CU_ASSERT_EQUAL(count_nodes(graph, "Mul"), turn == COLUMNS ? 2 : 3);
	CU_ASSERT_EQUAL(count_nodes(graph, "Neg"), 1);
	CU_ASSERT_EQUAL(qeff_transform_rotary_embedding(graph, &options, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 1);
	CU_ASSERT_EQUAL(count_nodes(graph, "qeff.RotaryEmbedding"), 1);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		CU_ASSERT_EQUAL(count_nodes(graph, gone[i]), 0);
	for (uint32_t i = 0; i < graph->num_nodes; i++) {
		const struct qeff_node *node = graph->nodes[i];

		if (!qeff_node_is(node, "qeff.RotaryEmbedding"))
			continue;
		CU_ASSERT_EQUAL(qeff_node_int(node, "interleaved", -1), interleaved);
		CU_ASSERT_EQUAL(qeff_node_int(node, "rotary_dim", -1), DIM);
		CU_ASSERT_EQUAL(node->inputs[2]->shape.dims[0].size,
				turn == COLUMNS ? ROWS : POSITIONS);
	}
	same_rotation(turn, graph);
}

static void rotations(void)
{
	recognised_rotation(HALVES, false);
	recognised_rotation(NEIGHBOURS, true);
}

/* Angles of the next position are a table that begins one later: right, and no look-alike. */
static void angles_of_other_positions(void)
{
	recognised_rotation(OFFSET, false);
}

static void angles_by_column(void)
{
	recognised_rotation(COLUMNS, false);
}

static void other_rotations(void)
{
	for (int turn = PART; turn < NUM_TURNS; turn++) {
		struct qeff_graph *graph = rotation(turn);

		leaves(graph, qeff_transform_rotary_embedding);
		if (count_nodes(graph, "qeff.RotaryEmbedding"))
			printf("\n  rotation %d is taken", turn);
		same_rotation(turn, graph);
	}
}

/* Without the number of positions there is nothing to make tables for. */
static void rotations_without_a_cache(void)
{
	const struct qeff_transform_options foreign = { .foreign = true, .fold = qeff_lower_fold };
	struct qeff_graph *graph = finished(rotation(HALVES));
	struct qeff_error err = { 0 };
	uint32_t changes = 99;

	CU_ASSERT_EQUAL(qeff_transform_rotary_embedding(graph, &foreign, &changes, &err), 0);
	CU_ASSERT_EQUAL(changes, 0);
	same_rotation(HALVES, graph);
}

/* ---- caches, tested ---- */

/* Tokens in chunks of ROWS until the cache is full, the second batch entry two later; the logits
 * of each chunk's last tokens. What comes out goes in again. */
static float *converse(struct qeff_graph *graph, bool on_card)
{
	static const char *const what[] = { "key", "value" };
	const size_t row = (size_t)HEADS * DIM;
	struct lowered *m = start(graph);
	float *kept = calloc((size_t)KEYS / ROWS * BATCH * VOCAB, sizeof(*kept)), *to = kept;
	int64_t *tokens = lowered_at(m, "input_ids"), *places = lowered_at(m, "position_ids");

	for (int chunk = 0; chunk < KEYS / ROWS; chunk++) {
		for (int b = 0; b < BATCH; b++)
			for (int s = 0; s < ROWS; s++) {
				int position = chunk * ROWS + s - 2 * b;

				tokens[b * ROWS + s] = (chunk * 17 + b * 5 + s * 11) % VOCAB;
				places[b * ROWS + s] = position >= 0 ? position : on_card ? -1 : 0;
			}
		for (int i = 0; !on_card && i < BATCH * KEYS; i++)
			((int64_t *)lowered_at(m, "attention_mask"))[i] =
				i % KEYS - PAST + chunk * ROWS - i / KEYS * 2 >= 0;
		for (int w = 0; !on_card && chunk && w < 2; w++) {
			char in[64], out[64];

			snprintf(in, sizeof(in), "past_key_values.0.%s", what[w]);
			snprintf(out, sizeof(out), "present.0.%s", what[w]);
			for (int h = 0; h < BATCH * HEADS; h++)
				memcpy((float *)lowered_at(m, in) + (size_t)h * PAST * DIM,
				       (float *)lowered_at(m, out) +
					       ((size_t)h * KEYS + ROWS) * DIM,
				       PAST * row / HEADS * sizeof(float));
		}
		CU_ASSERT_EQUAL_FATAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
		for (int b = 0; b < BATCH; b++, to += VOCAB)
			memcpy(to,
			       (float *)lowered_at(m, "logits") +
				       (on_card ? b : b * ROWS + ROWS - 1) * VOCAB,
			       VOCAB * sizeof(*to));
	}
	lowered_close(m);
	return kept;
}

static void same_conversation(enum cache form, struct qeff_graph *graph)
{
	float *expected = converse(finished(decoder(form)), false);
	float *got = converse(graph, true);

	CU_ASSERT(difference(got, expected, (size_t)KEYS / ROWS * BATCH * VOCAB) < 2e-5);
	free(expected);
	free(got);
}

static void look_at_cache(const struct qeff_graph *graph)
{
	static const char *const gone[] = { "Softmax", "Cast", "Max", "Concat" };

	CU_ASSERT_EQUAL(count_nodes(graph, "qeff.Attention"), 1);
	CU_ASSERT_EQUAL(count_nodes(graph, "qeff.CtxScatter"), 2);
	CU_ASSERT_EQUAL(count_nodes(graph, "qeff.CtxGather"), 2);
	CU_ASSERT_EQUAL(count_nodes(graph, "qeff.LastToken"), 1);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		CU_ASSERT_EQUAL(count_nodes(graph, gone[i]), 0);
	CU_ASSERT_EQUAL(graph->num_inputs, 4);
	CU_ASSERT_EQUAL(graph->num_outputs, 3);
	shape_is(graph, "past_key.0", "[2, 2, ctx_len, 8]");
	shape_is(graph, "past_value.0_RetainedState", "[2, 2, ctx_len, 8]");
	shape_is(graph, "logits", "[2, 1, 40]");
	CU_ASSERT_PTR_NULL(qeff_graph_find(graph, "attention_mask"));
}

static void caches(void)
{
	for (int form = PLAIN; form <= SCALED_ALL; form++) {
		struct qeff_graph *graph = finished(decoder(form));
		struct qeff_error err = { 0 };
		uint32_t changes = 0;

		CU_ASSERT_EQUAL(count_nodes(graph, "Concat"), 2);
		CU_ASSERT_EQUAL(count_nodes(graph, "Softmax"), 1);
		CU_ASSERT_EQUAL(qeff_transform_kv_concat(graph, &options, &changes, &err), 0);
		CU_ASSERT_EQUAL(changes, 1);
		look_at_cache(graph);
		same_conversation(form, graph);
	}
}

static void caches_of_rotated_keys(void)
{
	struct qeff_graph *graph = finished(decoder(ROTATED));
	struct qeff_transforms_applied applied;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(count_nodes(graph, "Neg"), 2);
	if (qeff_transforms_apply(graph, &options, &applied, &err))
		lowered_die("transforms", &err);
	look_at_cache(graph);
	CU_ASSERT_EQUAL(count_nodes(graph, "qeff.RotaryEmbedding"), 2);
	CU_ASSERT_EQUAL(count_nodes(graph, "Neg"), 0);
	same_conversation(ROTATED, graph);
}

static void other_caches(void)
{
	const size_t count = (size_t)BATCH * ROWS * VOCAB;

	for (int form = WRONG_AXIS; form < MASK_READ; form++) {
		struct qeff_graph *graph = decoder(form);
		float *expected = run_once(finished(decoder(form)), "logits", count), *got;

		leaves(graph, qeff_transform_kv_concat);
		if (count_nodes(graph, "qeff.Attention"))
			printf("\n  cache %d is taken", form);
		got = run_once(graph, "logits", count);
		CU_ASSERT(!memcmp(expected, got, count * sizeof(*got)));
		CU_ASSERT(difference(got, expected, count) == 0);
		free(expected);
		free(got);
	}
}

/* What is recognised, but not all there is: no graph comes out that gives other numbers. */
static void refused_caches(void)
{
	for (int form = MASK_READ; form < NUM_CACHES; form++) {
		struct qeff_graph *graph = finished(decoder(form));
		struct qeff_error err = { 0 };
		uint32_t changes = 0;

		CU_ASSERT_EQUAL(qeff_transform_kv_concat(graph, &options, &changes, &err),
				-ENOTSUP);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, form == MASK_READ
								   ? "\"attention_mask\""
								   : "\"past_key_values.0.key\""));
		qeff_graph_free(graph);
	}
}

static const struct unit_test tests[] = {
	{ "rotations", rotations },
	{ "angles of other positions", angles_of_other_positions },
	{ "angles by column", angles_by_column },
	{ "other rotations", other_rotations },
	{ "rotations without a cache", rotations_without_a_cache },
	{ "caches", caches },
	{ "caches of rotated keys", caches_of_rotated_keys },
	{ "other caches", other_caches },
	{ "refused caches", refused_caches },
};

QEFF_UNIT_MAIN("patterns_decoder", tests)
