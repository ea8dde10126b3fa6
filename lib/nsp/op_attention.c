/* SPDX-License-Identifier: MIT */
/*
 * ATTENTION: softmax(scale q k^T) v in one pass over blocks of 64 keys, with an online softmax.
 *
 * A query is a pair of a row and a head. Queries that read the same KV head go through a block
 * together, so that its keys are transposed and its values widened once. What is computed for a
 * query depends on the query alone: blocks are cut at fixed key numbers, its scores are sums over
 * ascending columns, its output a sum over ascending keys, and keys it does not see are never
 * multiplied by anything.
 */
#include "nsp/kernels.h"

#include "nsp/kernel_f32.h"
#include "nsp/kernel_mx.h"
#include "nsp/nsp_math.h"

#include <string.h>

#define KEYS	NSP_ATTENTION_KEYS
#define QUERIES NSP_ATTENTION_QUERIES

struct query {
	uint32_t row;
	uint32_t head;
	uint32_t own;	     /* the key number of the row itself */
	uint32_t first, end; /* keys it sees */
	float largest;	     /* score so far */
	float total;	     /* of exp(score - largest) so far */
};

struct attention {
	const struct nsp_run *run;
	const struct qeff_nsp_attention_params *p;
	uint32_t kv_head;
	const struct nsp_token *token; /* any token of the batch entry at work */
	uint32_t count;
	uint32_t staged; /* first key of the block that any query sees */
	struct query queries[QUERIES];
	/* in scratch */
	float *q;	/* [queries][head_dim] */
	float *scores;	/* [queries][KEYS] */
	float *sums;	/* [queries][width] */
	float *keys;	/* [KEYS / 32][head_dim][32] */
	float *values;	/* [KEYS][width] */
	uint32_t width; /* value_dim rounded up to a panel */
};

/* Key or value number @key of the batch entry and KV head at work. */
static const uint8_t *kv_at(const struct attention *a, bool value, uint32_t key, unsigned int *type)
{
	const struct nsp_run *run = a->run;
	const struct qeff_nsp_operand *in = &run->op->in[value ? 2 : 1];
	uint32_t dim = value ? a->p->value_dim : a->p->head_dim;
	const struct nsp_segment *segment;

	if (a->p->from_state) {
		const struct qeff_nsp_state *state = value ? &a->p->value : &a->p->key;

		*type = state->type;
		return run->instance->ddr +
		       nsp_state_offset(state, a->token->slot, a->kv_head, key);
	}
	segment = &run->instance->segment[a->token->segment];
	*type = in->type;
	return nsp_in(run, in, segment->first + key) +
	       (uint64_t)a->kv_head * dim * nsp_type_bytes(in->type);
}

/* Columns [first, first + count) of a key or value of @dim columns, as f32; @first is a multiple of
 * 32. */
static const float *kv_widen(float *to, const uint8_t *row, unsigned int type, uint32_t dim,
			     uint32_t first, uint32_t count)
{
	if (type != QEFF_NSP_MXINT8)
		return vf_widen(to, row + (size_t)first * nsp_type_bytes(type), type, count);
	nsp_mxint8_widen(to, row, dim, first, count);
	return to;
}

/* Keys [first, end) of the block from @block on, transposed into panels of 32. */
static void stage_keys(struct attention *a, uint32_t block, uint32_t first, uint32_t end)
{
	uint32_t dim = a->p->head_dim;

	for (uint32_t key = first; key < end; key++) {
		uint32_t column = key - block;
		float *to = a->keys + (size_t)(column / QEFF_NSP_PANEL) * dim * QEFF_NSP_PANEL +
			    column % QEFF_NSP_PANEL;
		unsigned int type;
		const uint8_t *from = kv_at(a, false, key, &type);

		for (uint32_t d = 0; d < dim; d += QEFF_NSP_PANEL) {
			uint32_t count = dim - d < QEFF_NSP_PANEL ? dim - d : QEFF_NSP_PANEL;
			float buffer[QEFF_NSP_PANEL];
			const float *x = kv_widen(buffer, from, type, dim, d, count);

			for (uint32_t i = 0; i < count; i++, to += QEFF_NSP_PANEL)
				*to = x[i];
		}
	}
}

/* Values [first, end) as rows of whole panels, from @first on: where they lie, or widened into
 * scratch. */
static struct nsp_panel stage_values(struct attention *a, uint32_t first, uint32_t end)
{
	uint32_t dim = a->p->value_dim;
	unsigned int type;
	const uint8_t *from = kv_at(a, true, first, &type);

	if (type == QEFF_NSP_F32 && dim == a->width) {
		size_t stride = a->p->from_state ? a->p->value.position_stride
						 : a->run->op->in[2].stride_bytes;

		return (struct nsp_panel){ (const float *)from, stride / sizeof(float) };
	}
	for (uint32_t key = first; key < end; key++) {
		float *to = a->values + (size_t)(key - first) * a->width;
		const uint8_t *row = kv_at(a, true, key, &type);
		const float *x = kv_widen(to, row, type, dim, 0, dim);

		if (x != to)
			memcpy(to, x, dim * sizeof(float));
		memset(to + dim, 0, (a->width - dim) * sizeof(float));
	}
	return (struct nsp_panel){ a->values, a->width };
}

static void score(struct attention *a, uint32_t block, uint32_t first, uint32_t end)
{
	uint32_t dim = a->p->head_dim;

	memset(a->scores, 0, (size_t)a->count * KEYS * sizeof(float));
	for (uint32_t column = 0; column < KEYS; column += QEFF_NSP_PANEL) {
		struct nsp_panel keys = { a->keys + (size_t)column * dim, QEFF_NSP_PANEL };

		if (block + column < end && block + column + QEFF_NSP_PANEL > first)
			nsp_panel_f32(a->scores + column, KEYS, a->q, dim, keys, dim, a->count);
	}
}

/* a b^T, in the lanes of a sum whose order no vector width changes. */
static float product(const float *a, const float *b, uint32_t count)
{
	struct nsp_sum sum = { 0 };
	uint32_t i = 0;

	for (; i + VF <= count; i += VF)
		nsp_sum_add(&sum, i / VF % (NSP_LANES / VF), vf_load(a + i) * vf_load(b + i));
	if (i < count)
		nsp_sum_add(&sum, i / VF % (NSP_LANES / VF),
			    vf_load_part(a + i, count - i) * vf_load_part(b + i, count - i));
	return nsp_sum_total(&sum);
}

/* The row of the tables for a key at @distance; 0 where the constants name none. */
static size_t relative_row(const struct attention *a, int64_t distance)
{
	const struct qeff_nsp_relative *r = &a->p->relative;
	const float *buckets = (const float *)nsp_at(a->run, r->buckets);
	int64_t most = (int64_t)r->distances - 1;
	float row;

	distance = distance < -most ? -most : distance > most ? most : distance;
	row = buckets[distance + most];
	return row >= 0 && row < (float)r->rows ? (size_t)row : 0;
}

/* Scores get added what the embeddings of distances say: to queries as keys, to keys as queries. */
static void relate(struct attention *a, uint32_t block, uint32_t first, uint32_t end)
{
	const struct qeff_nsp_relative *r = &a->p->relative;
	uint32_t dim = a->p->head_dim;
	size_t width = (size_t)a->p->heads * dim;
	unsigned int type;

	for (uint32_t i = 0; i < a->count; i++) {
		const struct query *query = &a->queries[i];
		const float *q = a->q + (size_t)i * dim;
		uint32_t from = query->first > first ? query->first : first;
		uint32_t to = query->end < end ? query->end : end;

		for (uint32_t key = from; key < to; key++) {
			size_t at = relative_row(a, (int64_t)key - query->own) * width +
				    (size_t)query->head * dim;
			float *score = a->scores + (size_t)i * KEYS + key - block;

			if (r->keys != QEFF_NSP_NONE)
				*score += product(q, (const float *)nsp_at(a->run, r->keys) + at,
						  dim);
			if (r->queries != QEFF_NSP_NONE)
				*score += product((const float *)kv_at(a, false, key, &type),
						  (const float *)nsp_at(a->run, r->queries) + at,
						  dim);
			a->run->counters->macs += (uint64_t)dim * ((r->keys != QEFF_NSP_NONE) +
								   (r->queries != QEFF_NSP_NONE));
		}
	}
}

/* Adds the numbers of the query's head and its keys, or their distances. @block: the first key's
 * number. */
static void add_bias(const struct attention *a, const struct query *query, float *scores,
		     uint32_t block)
{
	const struct qeff_nsp_attention_params *p = a->p;
	const float *bias = (const float *)nsp_in(a->run, &a->run->op->in[3], query->head);
	int64_t column = block, last = p->bias_columns - 1ll;

	if (p->bias_zero != QEFF_NSP_BIAS_BY_KEY)
		column += (int64_t)p->bias_zero - query->own;
	for (uint32_t i = 0; i < KEYS; i++, column++)
		scores[i] += bias[column < 0 ? 0 : column > last ? last : column];
}

/* Scores of the keys the query sees become exp(score - largest); sums so far follow the new
 * largest. */
static void soften(struct attention *a, struct query *query, float *scores, float *sums,
		   uint32_t block, uint32_t first, uint32_t end)
{
	float scale = a->p->scale, softcap = a->p->softcap, largest = query->largest, old;
	struct nsp_sum total = { 0 };
	vf most = vf_set(-__builtin_inff());

	for (uint32_t i = 0; i < KEYS; i++)
		scores[i] *= scale;
	if (softcap > 0) {
		for (uint32_t i = 0; i < KEYS; i++)
			scores[i] /= softcap;
		nsp_apply(QEFF_NSP_TANH, scores, KEYS);
		for (uint32_t i = 0; i < KEYS; i++)
			scores[i] *= softcap;
	}
	if (a->p->bias_columns)
		add_bias(a, query, scores, block);
	for (uint32_t i = 0; i < KEYS; i++)
		if (i < first || i >= end)
			scores[i] = -__builtin_inff();
	/* A NaN is never the largest, but makes the total NaN. */
	for (uint32_t i = 0; i < KEYS; i += VF)
		most = vf_max(vf_load(scores + i), most);
	for (uint32_t i = 0; i < VF; i++)
		largest = most[i] > largest ? most[i] : largest;
	old = query->largest;
	query->largest = largest;
	for (uint32_t i = 0; i < KEYS; i += VF) {
		vf p = nsp_exp(vf_load(scores + i) - largest);

		vf_store(scores + i, p);
		nsp_sum_add(&total, i / VF % (NSP_LANES / VF), p);
	}
	if (old != largest) {
		float shrink = nsp_exp(vf_set(old - largest))[0];

		query->total *= shrink;
		for (uint32_t d = 0; d < a->width; d += VF)
			vf_store(sums + d, vf_load(sums + d) * shrink);
	}
	query->total += nsp_sum_total(&total);
}

/* sums += probabilities times values, for @count queries from @query on that share keys [first,
 * end) of the block; @values begins with key a->staged. */
static void weigh(struct attention *a, uint32_t query, uint32_t count, uint32_t first, uint32_t end,
		  struct nsp_panel values)
{
	if (first >= end)
		return;
	values.w += (first - a->staged) * values.stride;
	for (uint32_t d = 0; d < a->width; d += QEFF_NSP_PANEL, values.w += QEFF_NSP_PANEL)
		nsp_panel_f32(a->sums + (size_t)query * a->width + d, a->width,
			      a->scores + (size_t)query * KEYS + first, KEYS, values, end - first,
			      count);
}

/* The part of [first, end) inside the block from @block on, counted from the block. */
static void clip(uint32_t block, uint32_t *first, uint32_t *end)
{
	*first = *first > block ? *first - block : 0;
	*end = *end > block ? *end - block : 0;
	if (*first > KEYS)
		*first = KEYS;
	if (*end > KEYS)
		*end = KEYS;
}

/* Neighbouring queries share the keys that all of them see; each takes the rest before and after
 * alone. */
static void weigh_group(struct attention *a, uint32_t block, uint32_t query, uint32_t count,
			struct nsp_panel values)
{
	uint32_t shared_first = 0, shared_end = KEYS, first, end;

	for (uint32_t i = query; i < query + count; i++) {
		first = a->queries[i].first;
		end = a->queries[i].end;
		clip(block, &first, &end);
		shared_first = first > shared_first ? first : shared_first;
		shared_end = end < shared_end ? end : shared_end;
	}
	for (uint32_t i = query; i < query + count; i++) {
		first = a->queries[i].first;
		end = a->queries[i].end;
		clip(block, &first, &end);
		weigh(a, i, 1, first, shared_first < shared_end ? shared_first : end, values);
	}
	if (shared_first >= shared_end)
		return;
	weigh(a, query, count, shared_first, shared_end, values);
	for (uint32_t i = query; i < query + count; i++) {
		first = a->queries[i].first;
		end = a->queries[i].end;
		clip(block, &first, &end);
		weigh(a, i, 1, shared_end, end, values);
	}
}

static void attend_block(struct attention *a, uint32_t block, uint32_t first, uint32_t end)
{
	struct nsp_panel values;

	if (first < block)
		first = block;
	if (end > block + KEYS)
		end = block + KEYS;
	stage_keys(a, block, first, end);
	score(a, block, first, end);
	if (!a->p->from_state && a->p->relative.distances)
		relate(a, block, first, end);
	for (uint32_t i = 0; i < a->count; i++) {
		uint32_t own_first = a->queries[i].first, own_end = a->queries[i].end;

		clip(block, &own_first, &own_end);
		if (own_first < own_end)
			soften(a, &a->queries[i], a->scores + (size_t)i * KEYS,
			       a->sums + (size_t)i * a->width, block, own_first, own_end);
		a->run->counters->macs +=
			(uint64_t)(own_first < own_end ? own_end - own_first : 0) *
			(a->p->head_dim + a->p->value_dim);
	}
	a->staged = first - block;
	values = stage_values(a, first, end);
	for (uint32_t i = 0; i < a->count; i += TILE_ROWS)
		weigh_group(a, block, i, a->count - i < TILE_ROWS ? a->count - i : TILE_ROWS,
			    values);
}

static void load_queries(struct attention *a)
{
	const struct qeff_nsp_operand *in = &a->run->op->in[0];
	uint32_t dim = a->p->head_dim;

	for (uint32_t i = 0; i < a->count; i++) {
		float *to = a->q + (size_t)i * dim;
		const float *q = vf_widen(to,
					  nsp_in(a->run, in, a->queries[i].row) +
						  (uint64_t)a->queries[i].head * dim *
							  nsp_type_bytes(in->type),
					  in->type, dim);

		if (q != to)
			memcpy(to, q, dim * sizeof(float));
	}
}

static void store_results(struct attention *a)
{
	uint32_t dim = a->p->value_dim, type = a->run->op->out.type;

	for (uint32_t i = 0; i < a->count; i++) {
		const struct query *query = &a->queries[i];
		float *sums = a->sums + (size_t)i * a->width;

		for (uint32_t d = 0; d < dim; d++)
			sums[d] /= query->total;
		vf_narrow(nsp_out(a->run, query->row) +
				  (uint64_t)query->head * dim * nsp_type_bytes(type),
			  type, sums, dim);
	}
}

/* The queries that were collected, from their first key to their last. */
static void attend(struct attention *a)
{
	uint32_t first = UINT32_MAX, end = 0;
	unsigned int key_type, value_type;

	for (uint32_t i = 0; i < a->count; i++) {
		first = a->queries[i].first < first ? a->queries[i].first : first;
		end = a->queries[i].end > end ? a->queries[i].end : end;
	}
	load_queries(a);
	memset(a->sums, 0, (size_t)a->count * a->width * sizeof(float));
	for (uint32_t block = first / KEYS * KEYS; block < end; block += KEYS)
		attend_block(a, block, first, end);
	store_results(a);

	kv_at(a, false, first, &key_type);
	kv_at(a, true, first, &value_type);
	a->run->counters->bytes +=
		(end - first) * (nsp_row_bytes(key_type, a->p->head_dim) +
				 nsp_row_bytes(value_type, a->p->value_dim)) +
		(uint64_t)a->count * (a->p->head_dim * nsp_type_bytes(a->run->op->in[0].type) +
				      a->p->value_dim * nsp_type_bytes(a->run->op->out.type));
	a->count = 0;
}

/* Rows [first, end), all of one batch entry, and heads [begin, stop), all of one KV head. */
static void attend_rows(struct attention *a, uint32_t first, uint32_t end, uint32_t begin,
			uint32_t stop)
{
	const float *sinks = a->p->sinks ? (const float *)nsp_at(a->run, a->p->sinks) : NULL;

	a->token = &a->run->instance->token[first];
	for (uint32_t row = first; row < end; row++)
		for (uint32_t head = begin; head < stop; head++) {
			struct query *query = &a->queries[a->count++];

			query->row = row;
			query->head = head;
			query->largest = sinks ? sinks[head] : -__builtin_inff();
			query->total = sinks ? 1 : 0;
			query->own = nsp_visible(a->run->instance, a->p, row, &query->first,
						 &query->end);
			if (a->count == QUERIES)
				attend(a);
		}
	if (a->count)
		attend(a);
}

void NSP_NAME(attention)(const struct nsp_run *run)
{
	const struct qeff_nsp_attention_params *p = &run->op->u.attention;
	struct attention a = { .run = run, .p = p };
	uint32_t group = p->heads / p->kv_heads, dim = p->head_dim, end;

	a.width = (p->value_dim + QEFF_NSP_PANEL - 1) / QEFF_NSP_PANEL * QEFF_NSP_PANEL;
	a.keys = (float *)run->scratch;
	a.q = a.keys + (size_t)KEYS * dim;
	a.scores = a.q + (size_t)QUERIES * dim;
	a.values = a.scores + QUERIES * KEYS;
	a.sums = a.values + (size_t)KEYS * a.width;
	memset(a.keys, 0, (size_t)KEYS * dim * sizeof(float));

	for (uint32_t row = run->first; row < run->end; row = end) {
		const struct nsp_segment *segment =
			&run->instance->segment[run->instance->token[row].segment];

		end = segment->first + segment->count;
		if (end > run->end)
			end = run->end;
		for (uint32_t head = run->tile->begin; head < run->tile->end;) {
			uint32_t stop = (head / group + 1) * group;

			a.kv_head = head / group;
			stop = stop < run->tile->end ? stop : run->tile->end;
			attend_rows(&a, row, end, head, stop);
			head = stop;
		}
	}
}
