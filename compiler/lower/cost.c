/* SPDX-License-Identifier: MIT */
/*
 * What a tile costs: multiply-accumulates and bytes, counted as the executor counts them, if every
 * row holds a token and, with a KV cache, the context is half full. Placement evens this out; the
 * summary prints it.
 */
#include "lower/ir.h"

#include "nsp/nest.h"

/* Keys that the rows [begin, end) see, summed. */
static uint64_t keys_seen(const struct lower_spec *spec, const struct qeff_nsp_attention_params *p,
			  uint32_t begin, uint32_t end)
{
	uint64_t sum = 0;

	for (uint32_t row = begin; row < end; row++) {
		uint32_t column = row % spec->seq, behind = spec->seq - column - 1;
		uint64_t keys = column + 1;

		/* The chunk may stand anywhere in the context. */
		if (p->from_state && spec->positions > spec->seq)
			keys += (spec->positions - spec->seq) / 2;
		if (p->window && keys > p->window)
			keys = p->window;
		if (!p->causal)
			keys += p->window && behind >= p->window ? p->window - 1 : behind;
		sum += keys;
	}
	return sum;
}

static struct qeff_lower_share attention(const struct qeff_lowering *l,
					 const struct lower_spec *spec, const struct lower_op *op,
					 const struct lower_tile *tile, uint32_t begin,
					 uint32_t end)
{
	const struct qeff_nsp_attention_params *p = &op->nsp.u.attention;
	uint64_t heads = tile->end - tile->begin, columns = p->head_dim + p->value_dim;
	uint64_t keys = keys_seen(spec, p, begin, end);
	uint32_t group = p->heads / p->kv_heads;
	uint64_t kv_heads = (tile->end - 1) / group - tile->begin / group + 1;
	uint64_t last = end > begin ? keys_seen(spec, p, end - 1, end) : 0;
	uint64_t key_bytes = columns * 4, products = columns;

	/* products with embeddings of distances */
	for (int i = 0; i < 2; i++)
		products += op->relative[i].kind ? p->head_dim : 0;

	if (p->from_state)
		key_bytes = (uint64_t)l->states[op->state[0]].row_bytes +
			    l->states[op->state[1]].row_bytes;

	/* Keys and values are read once for the rows of a tile, by the one that sees most. */
	return (struct qeff_lower_share){
		.macs = keys * heads * products,
		.bytes = last * kv_heads * key_bytes + (end - begin) * heads * columns * 4,
	};
}

static struct qeff_lower_share matmul(const struct lower_op *op, const struct lower_weight *weight,
				      const struct lower_tile *tile, uint64_t rows)
{
	uint64_t outputs = tile->end - tile->begin, row_bytes = (uint64_t)weight->inputs * 4;
	uint64_t panels = (outputs + QEFF_NSP_PANEL - 1) / QEFF_NSP_PANEL;

	row_bytes += outputs * 4 *
		     (1u + (op->in[2].kind != LOWER_REF_NONE) + (op->in[3].kind != LOWER_REF_NONE));
	return (struct qeff_lower_share){
		.macs = rows * outputs * weight->inputs,
		.bytes = rows * row_bytes + panels * weight->panel_bytes,
	};
}

/* Every row as often as it chooses; panels once for as many experts as can be chosen. */
static struct qeff_lower_share experts(const struct lower_op *op, const struct lower_weight *weight,
				       const struct lower_tile *tile, uint64_t rows)
{
	const struct qeff_nsp_experts_params *p = &op->nsp.u.experts;
	uint64_t outputs = tile->end - tile->begin, chosen = rows * p->chosen;
	uint64_t panels = (outputs + QEFF_NSP_PANEL - 1) / QEFF_NSP_PANEL;
	uint64_t used = chosen < p->experts ? chosen : p->experts;

	return (struct qeff_lower_share){
		.macs = chosen * outputs * weight->inputs,
		.bytes = chosen *
				 (weight->inputs +
				  outputs * (1u + (op->in[2].kind != LOWER_REF_NONE))) *
				 4 +
			 panels * (weight->panel_bytes / p->experts) * used,
	};
}

static const struct qeff_nsp_nest *nest_of(const struct qeff_lowering *l, const struct lower_op *op)
{
	return &l->nests[nsp_nest_index(&op->nsp)];
}

/* A part of the numbers that the loops go over, each operand's once for each. */
static struct qeff_lower_share nest(const struct qeff_lowering *l, const struct lower_op *op,
				    const struct lower_tile *tile)
{
	const struct qeff_nsp_nest *loops = nest_of(l, op);
	struct qeff_lower_share share = { 0 };
	uint64_t numbers = 1;

	for (uint32_t i = 0; i < loops->rank; i++)
		numbers *= loops->size[i];
	numbers = (numbers + tile->row_parts - 1) / tile->row_parts;
	for (int i = 0; i < 4; i++)
		if (op->in[i].kind != LOWER_REF_NONE)
			share.bytes += numbers * lower_type_bytes(op->dense[i].type);
	share.bytes += numbers * lower_type_bytes(op->dense[QEFF_NSP_NEST_OUT].type);
	if (op->nsp.code == QEFF_NSP_NEST && op->nsp.u.nest.fold == QEFF_NSP_FOLD_SUM)
		share.macs = numbers;
	return share;
}

uint64_t qeff_lower_nest_parts(const struct qeff_lowering *l, const struct lower_op *op)
{
	if (op->nsp.code == QEFF_NSP_PUT)
		return 1;
	return nsp_walk_of(nest_of(l, op), &op->nsp).units;
}

struct qeff_lower_share qeff_lower_cost(const struct qeff_lowering *l,
					const struct lower_spec *spec,
					const struct lower_tile *tile)
{
	const struct lower_op *op = &spec->ops[tile->op];
	struct qeff_lower_share share = { 0 };
	uint32_t begin, end;
	uint64_t rows, operands = 1;

	lower_part(op->nsp.rows, tile->row_part, tile->row_parts, &begin, &end);
	rows = end - begin;
	switch (op->nsp.code) {
	case QEFF_NSP_ROWS:
		share.bytes = (uint64_t)spec->batch * spec->seq * 8;
		break;
	case QEFF_NSP_MATMUL:
		share = matmul(op, &l->weights[op->weight], tile, rows);
		break;
	case QEFF_NSP_EXPERTS:
		share = experts(op, &l->weights[op->weight], tile, rows);
		break;
	case QEFF_NSP_ROUTE:
		share.bytes = rows * (op->nsp.u.route.experts + 2 * op->nsp.u.route.chosen) * 4;
		break;
	case QEFF_NSP_MIX:
		share.bytes = rows * op->nsp.u.mix.width * 4 * (op->nsp.u.mix.chosen + 2);
		break;
	case QEFF_NSP_ATTENTION:
		share = attention(l, spec, op, tile, begin, end);
		break;
	case QEFF_NSP_GATHER:
		/* A tile of a part of the table finds a part of the rows in it. */
		share.bytes = rows * op->nsp.u.gather.width * 8 * (tile->end - tile->begin) /
			      op->nsp.u.gather.entries;
		break;
	case QEFF_NSP_NORM:
		share.bytes = rows * op->nsp.u.norm.width * op->nsp.u.norm.groups * 8;
		break;
	case QEFF_NSP_POINTWISE:
		for (int i = 0; i < 4; i++)
			operands += op->in[i].kind == LOWER_REF_TENSOR;
		share.bytes = rows * op->nsp.u.pointwise.width * 4 * operands;
		break;
	case QEFF_NSP_ROPE:
		share.bytes = rows * (tile->end - tile->begin) * op->nsp.u.rope.head_dim * 8;
		break;
	case QEFF_NSP_SCATTER:
		share.bytes = rows * (tile->end - tile->begin) *
			      (op->nsp.u.scatter.dim * 4ull + l->states[op->state[0]].row_bytes);
		break;
	case QEFF_NSP_REDUCE:
		share.bytes = rows * (spec->seq + 1) * op->nsp.u.reduce.width * 4;
		if (op->nsp.u.reduce.kind == QEFF_NSP_REDUCE_FIRST ||
		    op->nsp.u.reduce.kind == QEFF_NSP_REDUCE_LAST)
			share.bytes = rows * op->nsp.u.reduce.width * 8;
		break;
	case QEFF_NSP_BEST:
		share.bytes = rows * (tile->end - tile->begin) *
			      ((uint64_t)op->nsp.u.best.width / op->nsp.u.best.parts +
			       2ull * op->nsp.u.best.chosen) *
			      4;
		break;
	case QEFF_NSP_SAMPLE:
		share.bytes =
			rows * (op->nsp.u.sample.chosen * 8ull + op->nsp.u.sample.width * 4ull);
		break;
	case QEFF_NSP_MARK:
		share.bytes = (uint64_t)op->nsp.rows * spec->seq * 9;
		break;
	case QEFF_NSP_PENALISE:
		share.bytes = rows * (tile->end - tile->begin) *
			      (10ull + (op->wishes[0].kind != LOWER_REF_NONE));
		break;
	case QEFF_NSP_COPY:
		share.bytes = rows * op->nsp.u.copy.width *
			      (4 + lower_type_bytes(op->out.kind == LOWER_REF_BINDING
							    ? l->bindings[op->out.index].type
							    : QEFF_NSP_F32));
		break;
	case QEFF_NSP_NEST:
	case QEFF_NSP_PICK:
	case QEFF_NSP_PUT:
	case QEFF_NSP_SORT:
		share = nest(l, op, tile);
		break;
	default:
		break;
	}
	return share;
}
