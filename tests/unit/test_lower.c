/* SPDX-License-Identifier: MIT */
/*
 * Lowering, judged by what its programs compute: reference numbers, the same bits however work is
 * cut, even shares; and by the plan itself: memory, padding, determinism, refusals.
 */
#include "unit.h"

#include "lowered.h"

#include <math.h>

#define LLAMA "tiny-llama-stories"
#define BERT  "tiny-bert-embed"
#define ROPE  "rand-llama3-rope"

static const uint32_t nsp_counts[] = { 1, 4, 16 };

/* Largest difference over the largest magnitude. */
static double difference(const float *a, const float *b, size_t count)
{
	double most = 0, magnitude = 0;

	for (size_t i = 0; i < count; i++) {
		double d = fabs((double)a[i] - b[i]);

		most = d > most || isnan(d) ? d : most;
		magnitude = fabs((double)b[i]) > magnitude ? fabs((double)b[i]) : magnitude;
	}
	return most / magnitude;
}

/* ---- decoders ---- */

/* Feeds @count ids from position @position on as batch entry @entry of specialisation @spec; other
 * entries are dead unless @all. @pad leading columns stay dead. */
static void feed(struct lowered *m, uint32_t spec, const int64_t *ids, uint32_t count,
		 uint32_t position, uint32_t entry, bool all, uint32_t pad)
{
	uint32_t batch = m->l->specs[spec].batch, seq = m->l->specs[spec].seq;
	int64_t *input_ids = lowered_at(m, "input_ids");
	int64_t *position_ids = lowered_at(m, "position_ids");

	for (uint32_t b = 0; b < batch; b++)
		for (uint32_t s = 0; s < seq; s++) {
			bool live = (all || b == entry) && s >= pad && s - pad < count;

			input_ids[b * seq + s] = live ? ids[s - pad] : 0;
			position_ids[b * seq + s] = live ? (int64_t)position + s - pad : -1;
		}
}

static int64_t greedy(const float *logits, uint32_t vocab)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < vocab; i++)
		if (logits[i] > logits[best])
			best = i;
	return best;
}

/* The prompt in chunks of @chunk tokens, then the reference's continuation; all logits that came
 * out. */
static float *generate(struct lowered *m, const struct reference *reference, uint32_t chunk,
		       uint32_t entry, bool all, uint32_t pad, uint32_t *steps)
{
	const struct qeff_checkpoint_tensor *prompt = reference_tensor(reference, "input_ids");
	const struct qeff_checkpoint_tensor *next = reference_tensor(reference, "greedy_ids");
	uint32_t length = (uint32_t)prompt->dims[1], vocab = m->info.vocab, at = 0;
	const float *logits = lowered_at(m, "logits");
	float *kept = calloc((size_t)next->dims[1] * vocab, sizeof(float));

	*steps = (uint32_t)next->dims[1];
	while (at < length) {
		uint32_t count = length - at < chunk ? length - at : chunk;

		feed(m, 0, (const int64_t *)prompt->data + at, count, at, entry, all, pad);
		CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
		at += count;
	}
	for (uint32_t i = 0; i < *steps; i++) {
		const int64_t *id = (const int64_t *)next->data + i;

		memcpy(kept + (size_t)i * vocab, logits + (size_t)entry * vocab, vocab * 4);
		CU_ASSERT_EQUAL(greedy(kept + (size_t)i * vocab, vocab), *id);
		feed(m, 1, id, 1, at++, entry, all, 0);
		CU_ASSERT_EQUAL(lowered_run(m, 1), QEFF_NSP_FAULT_NONE);
	}
	return kept;
}

static void logits_without_cache(void)
{
	static const char *const models[] = { LLAMA, ROPE };

	for (int i = 0; i < 2; i++) {
		const struct qeff_checkpoint_tensor *ids, *logits;
		struct reference reference;
		uint32_t length;

		reference_open(&reference, models[i]);
		ids = reference_tensor(&reference, "input_ids");
		logits = reference_tensor(&reference, "logits");
		length = (uint32_t)ids->dims[1];
		for (int n = 0; n < 3; n++) {
			struct lowered_options options = { .num_nsps = nsp_counts[n],
							   .batch = 1,
							   .seqs = { length },
							   .num_seqs = 1 };
			struct lowered *m = lowered_open(models[i], &options);

			memcpy(lowered_at(m, "input_ids"), ids->data, length * 8);
			memcpy(lowered_at(m, "attention_mask"),
			       reference_tensor(&reference, "attention_mask")->data, length * 8);
			m->poison = true;
			CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
			CU_ASSERT(difference(lowered_at(m, "logits"), logits->data,
					     (size_t)length * m->info.vocab) < 1e-4);
			lowered_close(m);
		}
		safetensors_close(&reference.file);
	}
}

static void continuation_is_the_references(void)
{
	static const char *const models[] = { LLAMA, ROPE };

	for (int i = 0; i < 2; i++) {
		const struct qeff_checkpoint_tensor *logits;
		struct reference reference;
		float *first = NULL;

		reference_open(&reference, models[i]);
		logits = reference_tensor(&reference, "logits");
		for (int n = 0; n < 3; n++) {
			struct lowered_options options = { .num_nsps = nsp_counts[n],
							   .batch = 1,
							   .positions = 128,
							   .seqs = { 32, 1 },
							   .num_seqs = 2 };
			struct lowered *m = lowered_open(models[i], &options);
			uint32_t steps, vocab = m->info.vocab;
			float *kept;

			m->poison = true;
			kept = generate(m, &reference, 32, 0, false, 0, &steps);
			CU_ASSERT(difference(kept,
					     (const float *)logits->data +
						     (logits->dims[1] - 1) * vocab,
					     vocab) < 1e-4);
			/* The number of NSPs must not change a bit. */
			if (first)
				CU_ASSERT_EQUAL(memcmp(first, kept, (size_t)steps * vocab * 4), 0);
			free(n ? kept : NULL);
			first = first ? first : kept;
			lowered_close(m);
		}
		free(first);
		safetensors_close(&reference.file);
	}
}

/* Batch neighbours, padding before the tokens, chunks that do not divide the prompt: the same bits.
 */
static void bits_do_not_depend_on_surroundings(void)
{
	static const struct {
		uint32_t batch, prefill, chunk, entry, pad;
		bool all;
	} cases[] = {
		{ 1, 32, 32, 0, 0, false },  { 1, 32, 5, 0, 0, false },	 { 1, 7, 7, 0, 0, false },
		{ 1, 32, 20, 0, 12, false }, { 4, 32, 32, 2, 0, false }, { 4, 16, 11, 3, 5, true },
	};
	struct reference reference;
	float *first = NULL;

	reference_open(&reference, LLAMA);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lowered_options options = { .num_nsps = 4,
						   .batch = cases[i].batch,
						   .positions = 128,
						   .seqs = { cases[i].prefill, 1 },
						   .num_seqs = 2 };
		struct lowered *m = lowered_open(LLAMA, &options);
		uint32_t steps;
		float *kept = generate(m, &reference, cases[i].chunk, cases[i].entry, cases[i].all,
				       cases[i].pad, &steps);

		if (first)
			CU_ASSERT_EQUAL(memcmp(first, kept, (size_t)steps * m->info.vocab * 4), 0);
		free(first ? kept : NULL);
		first = first ? first : kept;
		lowered_close(m);
	}
	free(first);
	safetensors_close(&reference.file);
}

/* Measured by the executor: within 10 % of even, in prefill and in decode. */
static void shares_are_even(void)
{
	struct reference reference;

	reference_open(&reference, LLAMA);
	for (int n = 1; n < 3; n++) {
		uint32_t nsps = nsp_counts[n];
		struct lowered_options options = { .num_nsps = nsps,
						   .batch = 1,
						   .positions = 128,
						   .seqs = { 32, 1 },
						   .num_seqs = 2 };
		struct lowered *m = lowered_open(LLAMA, &options);
		const int64_t *ids = reference_tensor(&reference, "input_ids")->data;
		int64_t prompt[128];

		for (int i = 0; i < 128; i++)
			prompt[i] = ids[i % 23];
		for (uint32_t at = 0; at < 96; at += 32) {
			uint32_t spec = at == 64;
			uint64_t macs = 0, bytes = 0;

			/* Two full chunks; the second time one token far in the context. */
			feed(m, spec, prompt + at, spec ? 1 : 32, at, 0, false, 0);
			CU_ASSERT_EQUAL(lowered_run(m, spec), QEFF_NSP_FAULT_NONE);
			for (uint32_t i = 0; i < nsps; i++) {
				macs += lowered_stats(m)->nsp[i].macs;
				bytes += lowered_stats(m)->nsp[i].bytes;
			}
			for (uint32_t i = 0; i < nsps; i++) {
				double share = (double)lowered_stats(m)->nsp[i].macs * nsps;
				double moved = (double)lowered_stats(m)->nsp[i].bytes * nsps;

				CU_ASSERT(fabs(share / (double)macs - 1) < 0.1);
				CU_ASSERT(fabs(moved / (double)bytes - 1) < 0.1);
			}
		}
		lowered_close(m);
	}
	safetensors_close(&reference.file);
}

/* ---- encoders ---- */

static void encode(struct lowered *m, const struct reference *reference, uint32_t entries,
		   uint32_t first, uint32_t pad)
{
	const struct qeff_checkpoint_tensor *ids = reference_tensor(reference, "input_ids");
	const int64_t *mask = reference_tensor(reference, "attention_mask")->data;
	uint32_t seq = m->l->specs[0].seq, length = (uint32_t)ids->dims[1];
	int64_t *to_ids = lowered_at(m, "input_ids"), *to_mask = lowered_at(m, "attention_mask");

	memset(lowered_at(m, "token_type_ids"), 0, (size_t)entries * seq * 8);
	memset(to_ids, 0, (size_t)entries * seq * 8);
	memset(to_mask, 0, (size_t)entries * seq * 8);
	for (uint32_t b = 0; b < entries; b++)
		for (uint32_t s = 0; s < length; s++) {
			to_ids[b * seq + pad + s] =
				((const int64_t *)ids->data)[(first + b) * length + s];
			to_mask[b * seq + pad + s] = mask[(first + b) * length + s];
		}
}

static void hidden_states_are_the_references(void)
{
	const struct qeff_checkpoint_tensor *hidden;
	struct reference reference;
	const int64_t *mask;

	reference_open(&reference, BERT);
	hidden = reference_tensor(&reference, "last_hidden_state");
	mask = reference_tensor(&reference, "attention_mask")->data;
	for (int n = 0; n < 3; n++) {
		struct lowered_options options = {
			.num_nsps = nsp_counts[n], .batch = 4, .seqs = { 20 }, .num_seqs = 1
		};
		struct lowered *m = lowered_open(BERT, &options);
		const float *got = lowered_at(m, "last_hidden_state");
		float live[4 * 20 * 128] = { 0 }, expected[4 * 20 * 128] = { 0 };

		m->poison = true;
		encode(m, &reference, 4, 0, 0);
		CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
		for (uint32_t row = 0; row < 80; row++) {
			static const float zeros[128];

			if (!mask[row]) {
				CU_ASSERT_EQUAL(memcmp(got + row * 128, zeros, sizeof(zeros)), 0);
				continue;
			}
			memcpy(live + row * 128, got + row * 128, 512);
			memcpy(expected + row * 128, (const float *)hidden->data + row * 128, 512);
		}
		CU_ASSERT(difference(live, expected, 4 * 20 * 128) < 1e-4);
		lowered_close(m);
	}
	safetensors_close(&reference.file);
}

static void embeddings_are_the_references(void)
{
	const struct qeff_checkpoint_tensor *expected;
	struct reference reference;
	float first[128];

	reference_open(&reference, BERT);
	expected = reference_tensor(&reference, "sentence_embedding");
	/* Alone, among others, padded on either side, in the smaller of two lengths: the same bits.
	 */
	for (int i = 0; i < 4; i++) {
		uint32_t batch = i == 1 ? 4 : 1, pad = i == 2 ? 12 : 0;
		struct lowered_options options = { .num_nsps = nsp_counts[i % 3],
						   .batch = batch,
						   .seqs = { i == 3 ? 20 : 40 },
						   .num_seqs = 1,
						   .pooling = "mean",
						   .normalize = true };
		struct lowered *m = lowered_open(BERT, &options);
		const float *got = lowered_at(m, "sentence_embedding");

		encode(m, &reference, batch, 0, pad);
		CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
		CU_ASSERT(difference(got, expected->data, (size_t)batch * 128) < 1e-4);
		if (i)
			CU_ASSERT_EQUAL(memcmp(first, got, sizeof(first)), 0);
		memcpy(first, got, sizeof(first));
		lowered_close(m);
	}
	safetensors_close(&reference.file);
}

/* ---- the plan ---- */

static void tensors_alive_together_are_apart(void)
{
	struct lowered_options options = {
		.num_nsps = 4, .batch = 2, .positions = 64, .seqs = { 16, 1 }, .num_seqs = 2
	};
	struct lowered *m = lowered_open(LLAMA, &options);
	uint64_t sum = 0;

	for (uint32_t s = 0; s < m->l->num_specs; s++) {
		const struct lower_spec *spec = &m->l->specs[s];

		for (uint32_t i = 0; i < spec->num_tensors; i++) {
			const struct lower_tensor *a = &spec->tensors[i];
			uint64_t a_end = a->offset + (uint64_t)a->rows * a->stride_bytes;

			CU_ASSERT_EQUAL(a->offset % 128, 0);
			CU_ASSERT(a_end <= m->l->ddr_bytes - m->l->arena_offset);
			sum += a_end - a->offset;
			for (uint32_t j = 0; j < i; j++) {
				const struct lower_tensor *b = &spec->tensors[j];
				uint64_t b_end = b->offset + (uint64_t)b->rows * b->stride_bytes;
				bool together = a->first_phase <= b->last_phase &&
						b->first_phase <= a->last_phase;

				CU_ASSERT(!together || a_end <= b->offset || b_end <= a->offset);
			}
		}
	}
	/* Overlaid, not laid out side by side. */
	CU_ASSERT(m->l->ddr_bytes - m->l->arena_offset < sum / 8);
	lowered_close(m);
}

/* The last panel of the 176 outputs of rand-llama3-rope's feed-forward weights is half empty. */
static void outputs_past_the_edge_are_zero(void)
{
	struct lowered_options options = {
		.num_nsps = 4, .batch = 1, .seqs = { 8 }, .num_seqs = 1
	};
	struct lowered *m = lowered_open(ROPE, &options);
	uint32_t seen = 0;

	for (uint32_t i = 0; i < m->l->num_weights; i++) {
		const struct lower_weight *w = &m->l->weights[i];

		if (w->outputs != 176)
			continue;
		for (uint32_t nsp = 0; nsp < 4; nsp++) {
			const uint8_t *panel;

			if (!w->run[nsp].panels ||
			    w->run[nsp].first + w->run[nsp].panels != w->panels)
				continue;
			panel = m->aligned + w->run[nsp].offset +
				(w->run[nsp].panels - 1) * w->panel_bytes;
			for (uint64_t row = 0; row < w->panel_bytes / 128; row++) {
				static const uint8_t zeros[64];

				CU_ASSERT_EQUAL(memcmp(panel + row * 128 + 64, zeros, 64), 0);
				CU_ASSERT_NOT_EQUAL(memcmp(panel + row * 128, zeros, 64), 0);
			}
			seen++;
		}
	}
	CU_ASSERT_EQUAL(seen, 4); /* gate and up of two layers */
	lowered_close(m);
}

static void weights_are_placed_once(void)
{
	struct lowered_options options = {
		.num_nsps = 16, .batch = 1, .positions = 128, .seqs = { 32, 1 }, .num_seqs = 2
	};
	struct lowered *m = lowered_open(LLAMA, &options);
	uint64_t packed = 0, weights = 0;

	for (uint32_t i = 0; i < m->l->num_weights; i++) {
		const struct lower_weight *w = &m->l->weights[i];
		uint32_t next = 0;

		for (uint32_t nsp = 0; nsp < 16; nsp++) {
			CU_ASSERT_EQUAL(w->run[nsp].first, next);
			next += w->run[nsp].panels;
		}
		CU_ASSERT_EQUAL(next, w->panels);
		packed += w->panels * w->panel_bytes;
	}
	/* f16 weights stay f16, and the tied head is the embedding: no byte more than the
	 * checkpoint has, but for the norms, which are vectors. */
	weights = m->info.weight_bytes - 13 * 192 * 2;
	CU_ASSERT_EQUAL(packed, weights);
	lowered_close(m);
}

static void lowering_is_deterministic(void)
{
	struct lowered_options options = {
		.num_nsps = 16, .batch = 2, .positions = 64, .seqs = { 16, 1 }, .num_seqs = 2
	};
	struct lowered *a = lowered_open(LLAMA, &options), *b = lowered_open(LLAMA, &options);

	CU_ASSERT_EQUAL(a->constants.size_bytes, b->constants.size_bytes);
	CU_ASSERT_EQUAL(memcmp(a->constants.data, b->constants.data, a->constants.size_bytes), 0);
	lowered_close(a);
	lowered_close(b);
}

/* ---- graphs by hand ---- */

static struct qeff_value *node(struct qeff_graph *graph, const char *op, const char *name,
			       struct qeff_value *a, struct qeff_value *b)
{
	struct qeff_value *const inputs[] = { a, b };

	return qeff_graph_node(graph, op, name, b ? 2 : 1, inputs, 0, NULL);
}

static struct qeff_value *transpose(struct qeff_graph *graph, const char *name,
				    struct qeff_value *x)
{
	static const int64_t swap[] = { 1, 0 };

	return qeff_graph_node(graph, "Transpose", name, 1, &x, 1, &QEFF_INTS("perm", 2, swap));
}

/* ids [2,3] -> x [2,3,4]: a lookup in a table of 40 entries, and by position in one of 3. */
static struct qeff_graph *lookup(struct qeff_value **x)
{
	const struct qeff_dim dims[] = { qeff_dim_of(2), qeff_dim_of(3) };
	struct qeff_graph *graph = qeff_graph_new("by hand");
	struct qeff_value *ids = qeff_graph_input(graph, "input_ids", QEFF_GRAPH_I64, 2, dims);
	struct qeff_value *mask =
		qeff_graph_input(graph, "attention_mask", QEFF_GRAPH_I64, 2, dims);
	struct qeff_value *table, *places, *positions;
	void *data;

	positions = node(graph, "qeff.MaskToPositions", "position_ids", mask, NULL);
	table = qeff_graph_constant(graph, "table", QEFF_GRAPH_F32, 2, (const int64_t[]){ 40, 4 },
				    &data);
	for (int i = 0; i < 160; i++)
		((float *)data)[i] = (float)i / 16;
	places = qeff_graph_constant(graph, "places", QEFF_GRAPH_F32, 2, (const int64_t[]){ 3, 4 },
				     &data);
	for (int i = 0; i < 12; i++)
		((float *)data)[i] = (float)i * 2;
	*x = node(graph, "Add", "x", node(graph, "Gather", "entry", table, ids),
		  node(graph, "Gather", "place", places, positions));
	return graph;
}

/* What x is there. */
static float looked_up(int64_t id, int position, int column)
{
	return (float)(id * 4 + column) / 16 + (float)(position * 4 + column) * 2;
}

static struct lowered *start_by_hand(struct qeff_graph *graph)
{
	struct lowered *m = calloc(1, sizeof(*m));
	struct qeff_error err = { 0 };

	if (qeff_graph_finish(graph, &err))
		lowered_die("by hand", &err);
	m->bound[0] = graph;
	m->num_bound = 1;
	lowered_start(m, 3);
	return m;
}

static void elements_meet_elements(void)
{
	static const int64_t ids[] = { 39, 1, 2, 3, 4, 5 }, mask[] = { 1, 1, 0, 0, 1, 1 };
	struct qeff_value *x, *scale, *half, *y;
	struct qeff_graph *graph = lookup(&x);
	struct lowered *m;
	const float *got;
	void *data;

	scale = qeff_graph_constant(graph, "scale", QEFF_GRAPH_F32, 1, (const int64_t[]){ 4 },
				    &data);
	memcpy(data, (const float[]){ 1, -2, 3, -4 }, 16);
	half = qeff_graph_constant(graph, "half", QEFF_GRAPH_F32, 0, NULL, &data);
	*(float *)data = 0.5f;
	y = node(graph, "Mul", "scaled", x, scale);
	y = node(graph, "Sub", "shifted", y, half);
	y = node(graph, "Relu", "positive", y, NULL);
	y = node(graph, "Sub", "reversed", half, y);
	qeff_graph_output(graph, node(graph, "Add", "y", y, x));
	m = start_by_hand(graph);
	memcpy(lowered_at(m, "input_ids"), ids, sizeof(ids));
	memcpy(lowered_at(m, "attention_mask"), mask, sizeof(mask));
	m->poison = true;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	got = lowered_at(m, "y");
	for (int i = 0; i < 24; i++) {
		float scales[] = { 1, -2, 3, -4 };
		/* the second entry's tokens stand behind a dead one */
		float in = looked_up(ids[i / 4], i / 4 < 3 ? i / 4 : i / 4 - 4, i % 4);
		float expected = 0.5f - fmaxf(in * scales[i % 4] - 0.5f, 0) + in;

		CU_ASSERT_DOUBLE_EQUAL(got[i], mask[i / 4] ? expected : 0, 1e-6);
	}
	/* An index outside the table is a fault that names it. */
	((int64_t *)lowered_at(m, "input_ids"))[4] = 40;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_INDEX);
	CU_ASSERT_EQUAL(lowered_stats(m)->fault_value, 40);
	lowered_close(m);
}

/* y = r + m * silu(x w + b), all in one operation; and again where the product is read twice, so
 * that nothing may be taken in. */
static void epilogues(bool read_twice)
{
	static const float w[] = { 1, 0.5f, -1, 2, -0.25f, 3, 0, 1, 2, -2, 1, 1 }; /* [3][4] */
	static const float b[] = { 0.5f, -1, 0.25f };
	struct qeff_value *x, *weight, *bias, *y, *s, *product, *gate;
	struct qeff_graph *graph = lookup(&x);
	const float *got;
	struct lowered *m;

	weight = qeff_graph_initialiser(graph, "w", QEFF_GRAPH_F32, QEFF_GRAPH_F32, 2,
					(const int64_t[]){ 3, 4 }, w);
	bias = qeff_graph_initialiser(graph, "b", QEFF_GRAPH_F32, QEFF_GRAPH_F32, 1,
				      (const int64_t[]){ 3 }, b);
	gate = node(graph, "MatMul", "gate", x, transpose(graph, "wt", weight));
	product = node(graph, "MatMul", "product", x, transpose(graph, "wt2", weight));
	y = node(graph, "Add", "biased", product, bias);
	s = node(graph, "Sigmoid", "sigmoid", y, NULL);
	y = node(graph, "Mul", "silu", y, s);
	y = node(graph, "Mul", "gated", gate, y);
	qeff_graph_output(graph, node(graph, "Add", "y", y, gate));
	if (read_twice)
		qeff_graph_output(graph, product);
	m = start_by_hand(graph);
	/* rows, two lookups, two products, a copy; else another copy and five steps on their own */
	CU_ASSERT_EQUAL(m->l->specs[0].num_ops, read_twice ? 12 : 6);
	for (int i = 0; i < 6; i++) {
		((int64_t *)lowered_at(m, "input_ids"))[i] = i * 7;
		((int64_t *)lowered_at(m, "attention_mask"))[i] = 1;
	}
	m->poison = true;
	CU_ASSERT_EQUAL(lowered_run(m, 0), QEFF_NSP_FAULT_NONE);
	got = lowered_at(m, "y");
	for (int i = 0; i < 18; i++) {
		double sum = 0, with_bias;

		for (int k = 0; k < 4; k++)
			sum += (double)w[i % 3 * 4 + k] * looked_up(i / 3 * 7, i / 3 % 3, k);
		with_bias = sum + b[i % 3];
		CU_ASSERT_DOUBLE_EQUAL(got[i], sum + sum * with_bias / (1 + exp(-with_bias)), 2e-3);
	}
	lowered_close(m);
}

static void epilogues_are_taken_in(void)
{
	epilogues(false);
}

static void what_is_read_twice_stays(void)
{
	epilogues(true);
}

static void refuse(struct qeff_graph *graph, const char *sentence)
{
	const struct qeff_graph *graphs[] = { graph };
	struct qeff_lowering *l = NULL;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_lower(graphs, 1, 4, &l, &err), -ENOTSUP);
	CU_ASSERT_PTR_NULL(l);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, sentence));
	if (!strstr(err.message, sentence))
		printf("\n  found: %s\n", err.message);
	qeff_graph_free(graph);
}

static void what_cannot_be_lowered_is_named(void)
{
	const struct qeff_dim dims[] = { qeff_dim_of(2), qeff_dim_of(3) };
	const struct qeff_attribute axes[] = { QEFF_INT("axis", 1) };
	struct qeff_value *x, *t;
	struct qeff_graph *graph = lookup(&x);

	/* Two activations. */
	t = qeff_graph_node(graph, "Transpose", "t", 1, &x, 1,
			    &QEFF_INTS("perm", 3, ((const int64_t[]){ 0, 2, 1 })));
	qeff_graph_output(graph, node(graph, "MatMul", "scores", x, t));
	refuse(graph, "node t (Transpose) cannot be lowered");

	graph = lookup(&x);
	t = qeff_graph_find(graph, "table");
	qeff_graph_output(graph, qeff_graph_node(graph, "Gather", "columns", 2,
						 (struct qeff_value *[]){
							 t, qeff_graph_find(graph, "input_ids") },
						 1, axes));
	refuse(graph, "node columns (Gather) cannot be lowered");

	graph = qeff_graph_new("no positions");
	x = qeff_graph_input(graph, "x", QEFF_GRAPH_F32, 2, dims);
	qeff_graph_output(graph, node(graph, "Relu", "y", x, NULL));
	refuse(graph, "position_ids");
}

static void specialisations_must_agree(void)
{
	struct qeff_value *x;
	struct qeff_graph *a = lookup(&x), *b;
	const struct qeff_graph *graphs[2];
	struct qeff_lowering *l = NULL;
	struct qeff_error err = { 0 };

	qeff_graph_output(a, node(a, "Relu", "y", x, NULL));
	b = lookup(&x);
	qeff_graph_output(b, node(b, "Relu", "z", x, NULL));
	graphs[0] = a;
	graphs[1] = b;
	CU_ASSERT_EQUAL(qeff_lower(graphs, 2, 4, &l, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "has z where the first one has y"));
	CU_ASSERT_EQUAL(qeff_lower(graphs, 1, 0, &l, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_lower(graphs, 1, 17, &l, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_lower(graphs, 0, 1, &l, &err), -EINVAL);
	qeff_graph_free(a);
	qeff_graph_free(b);
}

static const struct unit_test tests[] = {
	{ "logits of all positions, without a cache", logits_without_cache },
	{ "the continuation is the reference's", continuation_is_the_references },
	{ "bits do not depend on surroundings", bits_do_not_depend_on_surroundings },
	{ "shares are even", shares_are_even },
	{ "hidden states are the reference's", hidden_states_are_the_references },
	{ "embeddings are the reference's", embeddings_are_the_references },
	{ "tensors alive together are apart", tensors_alive_together_are_apart },
	{ "outputs past the edge are zero", outputs_past_the_edge_are_zero },
	{ "weights are placed once", weights_are_placed_once },
	{ "lowering is deterministic", lowering_is_deterministic },
	{ "elements meet elements", elements_meet_elements },
	{ "epilogues are taken in", epilogues_are_taken_in },
	{ "what is read twice stays", what_is_read_twice_stays },
	{ "what cannot be lowered is named", what_cannot_be_lowered_is_named },
	{ "specialisations must agree", specialisations_must_agree },
};
QEFF_UNIT_MAIN("lower", tests)
