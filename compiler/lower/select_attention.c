/* SPDX-License-Identifier: MIT */
/* Selection around attention: rotary positions, the KV cache in retained state, attention itself.
 */
#include "lower/select.h"

#include <string.h>

int qeff_select_rotary(struct select *s, const struct qeff_node *node)
{
	const struct qeff_value *x = qeff_node_input(node, 0);
	const struct qeff_value *cos = qeff_node_input(node, 2);
	uint32_t positions = (uint32_t)qeff_select_dim(cos, 0);
	uint32_t half = (uint32_t)qeff_select_dim(cos, 1);
	struct lower_op *op;
	uint32_t in;
	int rc = qeff_select_input(s, node, 0, &in);

	if (rc)
		return rc;
	if (x->shape.rank != 4 || !s->slots[x->index].head_major ||
	    qeff_node_input(node, 1) != s->positions)
		return qeff_select_refuse(s, node,
					  "it turns [batch, heads, seq, dim] at position_ids");
	if (positions < s->spec->positions)
		return qeff_select_refuse(s, node, "its tables have %u positions, %u are needed",
					  positions, s->spec->positions);
	op = qeff_select_op(s, node, QEFF_NSP_ROPE, QEFF_NSP_ROWS_TOKENS);
	if (!op)
		return -ENOMEM;
	op->nsp.u.rope.heads = (uint32_t)qeff_select_dim(x, 1);
	op->nsp.u.rope.head_dim = (uint32_t)qeff_select_dim(x, 3);
	op->nsp.u.rope.rotary = (uint32_t)qeff_node_int(node, "rotary_dim", 0);
	if (!op->nsp.u.rope.rotary)
		op->nsp.u.rope.rotary = half * 2;
	op->nsp.u.rope.positions = positions;
	op->nsp.u.rope.interleaved = qeff_node_int(node, "interleaved", 0) != 0;
	if (op->nsp.u.rope.rotary != half * 2 || op->nsp.u.rope.rotary > op->nsp.u.rope.head_dim)
		return qeff_select_refuse(s, node, "it turns %u of %u columns with tables of %u",
					  op->nsp.u.rope.rotary, op->nsp.u.rope.head_dim, half);
	qeff_select_read(op, 0, in);
	rc = qeff_select_table(s, node, cos, positions, half, &op->in[1]);
	if (!rc)
		rc = qeff_select_table(s, node, qeff_node_input(node, 3), positions, half,
				       &op->in[2]);
	if (rc)
		return rc;
	return qeff_select_write(s, op, node->outputs[0], QEFF_NSP_ROWS_TOKENS,
				 s->spec->tensors[in].width, true);
}

bool qeff_select_is_batch_index(const struct select *s, const struct qeff_value *value)
{
	return !value || value == qeff_graph_find(s->graph, "batch_index");
}

uint32_t qeff_select_state(const struct select *s, const struct qeff_value *value)
{
	for (uint32_t i = 0; i < s->l->num_states; i++)
		if (!strcmp(s->l->states[i].name, value->name))
			return i;
	return LOWER_NONE;
}

int qeff_select_scatter(struct select *s, const struct qeff_node *node)
{
	const struct qeff_value *cache = qeff_node_input(node, 0);
	const struct qeff_value *update = qeff_node_input(node, 2);
	const struct lower_state *state;
	uint32_t in, index;
	struct lower_op *op;
	int rc = qeff_select_input(s, node, 2, &in);

	if (rc)
		return rc;
	index = qeff_select_state(s, cache);
	if (index == LOWER_NONE || qeff_node_input(node, 1) != s->positions ||
	    !qeff_select_is_batch_index(s, qeff_node_input(node, 3)) ||
	    !s->slots[update->index].head_major)
		return qeff_select_refuse(s, node,
					  "it writes rows at position_ids into an input of "
					  "the graph");
	state = &s->l->states[index];
	op = qeff_select_op(s, node, QEFF_NSP_SCATTER, QEFF_NSP_ROWS_TOKENS);
	if (!op)
		return -ENOMEM;
	op->state[0] = index;
	op->nsp.u.scatter.heads = state->heads;
	op->nsp.u.scatter.dim = state->dim;
	qeff_select_read(op, 0, in);
	if (s->spec->tensors[in].width != state->heads * state->dim)
		return qeff_select_refuse(s, node, "rows of %u for %u heads of %u",
					  s->spec->tensors[in].width, state->heads, state->dim);
	s->slots[node->outputs[0]->index] = (struct select_slot){ SLOT_STATE, true, index };
	return 0;
}

int qeff_select_cache(struct select *s, const struct qeff_node *node)
{
	const struct select_slot *cache = &s->slots[qeff_node_input(node, 0)->index];

	if (cache->kind != SLOT_STATE || !qeff_select_is_batch_index(s, qeff_node_input(node, 1)))
		return qeff_select_refuse(s, node, "it reads what qeff.CtxScatter has written");
	s->slots[node->outputs[0]->index] = *cache;
	return 0;
}

/* A bias by head and distance, or by head and key. */
static int read_bias(struct select *s, const struct qeff_node *node, struct lower_op *op)
{
	const struct qeff_value *bias = qeff_node_input(node, 5);
	struct qeff_nsp_attention_params *p = &op->nsp.u.attention;
	int64_t zero = qeff_node_int(node, "bias_zero", 0);

	p->bias_columns = (uint32_t)qeff_select_dim(bias, 1);
	p->bias_zero = zero == -1 ? QEFF_NSP_BIAS_BY_KEY : (uint32_t)zero;
	if (zero < -1 || zero >= p->bias_columns)
		return qeff_select_refuse(s, node, "distance 0 is column %lld of %u",
					  (long long)zero, p->bias_columns);
	return qeff_select_table(s, node, bias, p->heads, p->bias_columns, &op->in[3]);
}

/* Tables of embeddings of distances. */
static int read_relative(struct select *s, const struct qeff_node *node, struct lower_op *op)
{
	const struct qeff_nsp_attention_params *p = &op->nsp.u.attention;
	struct qeff_nsp_relative *r = &op->nsp.u.attention.relative;
	uint32_t buckets = (uint32_t)qeff_select_dim(qeff_node_input(node, 5), 0);
	int rc = qeff_select_table(s, node, qeff_node_input(node, 5), 1, buckets, &op->relative[2]);

	if (!rc && buckets % 2 == 0)
		return qeff_select_refuse(s, node, "%u distances have no middle", buckets);
	r->distances = buckets / 2 + 1;
	for (uint32_t i = 0; i < 2 && !rc; i++) {
		const struct qeff_value *table = qeff_node_input(node, 6 + i);

		if (!table)
			continue;
		r->rows = (uint32_t)qeff_select_dim(table, 0);
		rc = qeff_select_table(s, node, table, r->rows, p->heads * p->head_dim,
				       &op->relative[i]);
	}
	return rc;
}

static int select_attention(struct select *s, const struct qeff_node *node,
			    int (*read_more)(struct select *s, const struct qeff_node *node,
					     struct lower_op *op))
{
	const struct qeff_value *q = qeff_node_input(node, 0), *k = qeff_node_input(node, 1),
				*v = qeff_node_input(node, 2);
	const struct select_slot *key = &s->slots[k->index], *value = &s->slots[v->index];
	struct qeff_nsp_attention_params *p;
	struct lower_op *op;
	uint32_t in;
	int rc = qeff_select_input(s, node, 0, &in);

	if (rc)
		return rc;
	if (!s->slots[q->index].head_major || !key->head_major || !value->head_major ||
	    key->kind != value->kind || qeff_node_input(node, 3) != s->positions)
		return qeff_select_refuse(s, node,
					  "it takes [batch, heads, seq, dim] at position_ids");
	op = qeff_select_op(s, node, QEFF_NSP_ATTENTION, QEFF_NSP_ROWS_TOKENS);
	if (!op)
		return -ENOMEM;
	p = &op->nsp.u.attention;
	p->heads = (uint32_t)qeff_select_dim(q, 1);
	p->kv_heads = (uint32_t)qeff_select_dim(k, 1);
	p->head_dim = (uint32_t)qeff_select_dim(q, 3);
	p->value_dim = (uint32_t)qeff_select_dim(v, 3);
	p->scale = qeff_node_float(node, "scale", 1);
	p->softcap = qeff_node_float(node, "softcap", 0);
	p->window = (uint32_t)qeff_node_int(node, "window", 0);
	p->causal = qeff_node_int(node, "causal", 0) != 0;
	p->from_state = key->kind == SLOT_STATE;
	qeff_select_read(op, 0, in);
	if (p->from_state) {
		op->state[0] = key->index;
		op->state[1] = value->index;
		if (!p->causal || qeff_node_input(node, 4))
			return qeff_select_refuse(s, node, "attention over a KV cache is causal");
	} else {
		if (key->kind != SLOT_TENSOR || qeff_node_input(node, 4) != s->positions)
			return qeff_select_refuse(s, node,
						  "keys are the cache's or the tokens' own");
		qeff_select_read(op, 1, key->index);
		qeff_select_read(op, 2, value->index);
	}
	rc = read_more ? read_more(s, node, op) : 0;
	if (!rc && qeff_node_is(node, "qeff.Attention") && qeff_node_input(node, 6))
		rc = qeff_select_table(s, node, qeff_node_input(node, 6), 1, p->heads, &op->sinks);
	if (rc)
		return rc;
	return qeff_select_write(s, op, node->outputs[0], QEFF_NSP_ROWS_TOKENS,
				 p->heads * p->value_dim, true);
}

int qeff_select_attention(struct select *s, const struct qeff_node *node)
{
	return select_attention(s, node, qeff_node_input(node, 5) ? read_bias : NULL);
}

int qeff_select_disentangled(struct select *s, const struct qeff_node *node)
{
	return select_attention(s, node, read_relative);
}
